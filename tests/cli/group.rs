//! Groups as their owner and their machines see them: a file with a key, lines of text, exit codes.
//!
//! Knows: what a user can see. Does not know: what members do among each other (`tests/node`).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Daemon, Home, Ran, run};

/// A machine with this state folder.
struct Machine<'a> {
    home: &'a Home,
    name: &'static str,
}

impl Machine<'_> {
    async fn say(&self, args: &[&str]) -> Ran {
        let state = self.home.text(self.name);
        run(self.home.path(), &[args, &["--state-dir", &state]].concat()).await
    }

    async fn id(&self) -> String {
        let ran = self.say(&["peer", "id"]).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        ran.out.trim().to_owned()
    }

    async fn shown(&self) -> serde_json::Value {
        self.say(&["group", "show", "--json"]).await.json()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What a command of the owner says, all being well.
async fn owner(home: &Home, args: &[&str]) -> String {
    let ran = run(home.path(), args).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out
}

async fn made(home: &Home) {
    owner(home, &["group", "create", "branch"]).await;
}

/// An invitation for a machine.
async fn invited(home: &Home, machine: &Machine<'_>) -> String {
    owner(home, &["group", "token", "--group", "branch.group", &machine.id().await]).await.trim().to_owned()
}

#[tokio::test]
async fn group_8_a_group_is_made_of_a_file_for_its_owner_alone_and_says_what_to_do_next() {
    let home = Home::new();
    let ran = run(home.path(), &["group", "create", "branch"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    for name in ["branch.group", "branch.group.backup"] {
        assert_eq!(mode(&home.join(name)), 0o600);
        assert!(ran.out.contains(name), "{}", ran.out);
    }
    assert!(ran.out.contains("nearbits peer id") && ran.out.contains("nearbits group join"), "{}", ran.out);
    let key = std::fs::read(home.join("branch.group")).unwrap();
    let again = run(home.path(), &["group", "create", "branch"]).await;
    assert!(again.error_line(6).contains("never replaced"));
    assert_eq!(std::fs::read(home.join("branch.group")).unwrap(), key);
    assert!(home.names(".local").is_empty(), "this machine got no state folder by it");
}

#[tokio::test]
async fn group_4_a_branch_of_three_is_enrolled_by_a_list_a_file_and_a_folder() {
    let home = Home::new();
    made(&home).await;
    let machines = ["one", "two", "three"].map(|name| Machine { home: &home, name });
    let mut list = String::from("# the branch\n\n");
    for machine in &machines {
        list += &format!("{} {} # by hand\n", machine.id().await, machine.name);
    }
    std::fs::write(home.join("ids"), &list).unwrap();
    let token = ["group", "token", "--group", "branch.group", "--peers", "ids"];
    std::fs::write(home.join("invitations"), owner(&home, &token).await).unwrap();
    for machine in &machines {
        let ran = machine.say(&["group", "join", "invitations"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let shown = machine.shown().await;
        assert_eq!(shown["group"]["is_member"], true, "{shown}");
        assert_eq!(shown["group"]["roles"], serde_json::json!(["fetch", "serve"]));
        assert_eq!(mode(&home.join(machine.name).join("group.json")), 0o600);
    }
    // Again, as a machine's management does every night: nothing changes.
    let ran = machines[0].say(&["group", "join", "invitations"]).await;
    assert!(ran.code == 0 && ran.out.starts_with("nothing new"), "{ran:?}");
    let said = owner(&home, &[&token[..], &["--out", "renewed"]].concat()).await;
    assert!(said.starts_with("3 invitations"), "{said}");
    for machine in &machines {
        let before = machine.shown().await;
        let ran = machine.say(&["group", "join", "renewed"]).await;
        assert!(ran.code == 0 && ran.out.starts_with("renewed"), "{ran:?}");
        let after = machine.shown().await;
        assert_eq!(before["group"]["holder"], after["group"]["holder"]);
        assert!(before["group"]["serial"].as_u64() < after["group"]["serial"].as_u64());
        let file = home.join("renewed").join(format!("{}.invitation", machine.id().await));
        assert_eq!(mode(&file), 0o600);
    }
    // What lay about does not bring the old token back.
    let ran = machines[0].say(&["group", "join", "invitations"]).await;
    assert!(ran.error_line(5).contains("older"), "{ran:?}");
    let all = run(home.path(), &["group", "show", "--group", "branch.group", "--json"]).await.json();
    assert_eq!(all["members"].as_array().map(Vec::len), Some(3));
    assert!(!all.to_string().contains("key"), "the key is shown to nobody");
}

#[tokio::test]
async fn group_1_a_copied_token_is_worth_nothing_and_the_user_is_told_why() {
    let home = Home::new();
    made(&home).await;
    let [one, two] = ["one", "two"].map(|name| Machine { home: &home, name });
    let line = invited(&home, &one).await;
    let ran = two.say(&["group", "join", &line]).await;
    let said = ran.error_line(6);
    assert!(said.contains("a copy is worth nothing") && said.contains(&two.id().await), "{said}");
    assert!(!home.join("two/group.json").exists(), "nothing of it is kept");
    // Also among many, and through a node that runs.
    let many = format!("{line}\n{}\n", invited(&home, &one).await);
    std::fs::write(home.join("many"), many).unwrap();
    let ran = two.say(&["group", "join", "many"]).await;
    assert!(ran.error_line(6).contains("none of these 2 invitations"), "{ran:?}");
    let daemon = Daemon::start(&home, &[]).await;
    let ran = home.say(&["group", "join", &line]).await;
    assert!(ran.error_line(6).contains("a copy is worth nothing"), "{ran:?}");
    // One's own file under another machine's feet: the node does not start with it.
    daemon.kill().await;
    assert_eq!(one.say(&["group", "join", &line]).await.code, 0);
    std::fs::copy(home.join("one/group.json"), home.join("two/group.json")).unwrap();
    let ran = two.say(&["daemon", "--no-mdns", "--listen", "127.0.0.1:0"]).await;
    assert!(ran.error_line(5).contains("another node"), "{ran:?}");
}

#[tokio::test]
async fn group_4_a_running_node_joins_is_shown_and_leaves_without_a_restart() {
    let home = Home::new();
    made(&home).await;
    let machine = Machine { home: &home, name: "state" };
    let id = machine.id().await;
    let daemon = Daemon::start(&home, &[]).await;
    assert_eq!(machine.id().await, id, "the same one as of the folder alone");
    let none = machine.shown().await;
    assert_eq!((none["peer_id"].as_str(), &none["group"]), (Some(&*id), &serde_json::Value::Null));
    let line = invited(&home, &machine).await;
    let ran = machine.say(&["group", "join", &line]).await;
    assert!(ran.code == 0 && ran.out.starts_with("member of group "), "{ran:?}");
    assert_eq!(machine.shown().await["group"]["is_member"], true);
    let ran = machine.say(&["group", "show"]).await;
    for word in ["this node  member", "fetch,serve", "0 % of its life", "nobody"] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    // A second one takes the place of the first if that is said.
    owner(&home, &["group", "create", "other"]).await;
    let other = owner(&home, &["group", "token", "--group", "other.group", &id]).await;
    assert_eq!(machine.say(&["group", "join", other.trim(), "--replace"]).await.code, 0);
    assert_eq!(machine.shown().await["groups"].as_array().map(Vec::len), Some(1));
    let ran = machine.say(&["group", "leave"]).await;
    assert!(ran.code == 0 && ran.out.contains("no group"), "{ran:?}");
    assert!(machine.say(&["group", "leave"]).await.error_line(7).contains("in no group"));
    assert!(!home.join("state/group.json").exists());
    daemon.kill().await;
    assert_eq!(machine.shown().await["group"], serde_json::Value::Null);
}

/// A job of a machine in these two groups is kept to one of them, by the beginning of its id.
async fn a_job_keeps_to_one(machine: &Machine<'_>, ids: &[&str]) {
    let add = async |group: &str| {
        let wish = ["job", "add", "http://127.0.0.1:9/a", "f", "--suspended", "--group", group];
        machine.say(&wish).await
    };
    for unknown in ["zz", &"ab".repeat(16)] {
        let ran = add(unknown).await;
        let line = ran.error_line(7);
        assert!(line.contains(unknown) && ids.iter().all(|id| line.contains(id)), "{line}");
        let get = machine.say(&["get", "http://127.0.0.1:9/a", "-o", "g", "--group", unknown]).await;
        assert!(get.code == 7 && get.err.contains(ids[0]), "{get:?}");
    }
    let added = add(&ids[1][..6]).await;
    assert_eq!(added.code, 0, "{}", added.err);
    let job = added.out.trim();
    let kept = async || machine.say(&["job", "show", job, "--json"]).await.json()["spec"]["group"].clone();
    assert_eq!(kept().await, ids[1]);
    let shown = machine.say(&["job", "show", job]).await.out;
    assert!(shown.contains("kept to group") && shown.contains(ids[1]), "{shown}");
    assert_eq!(machine.say(&["job", "set", job, "--group", &ids[0][..6]]).await.code, 0);
    assert_eq!(kept().await, ids[0]);
    assert_eq!(machine.say(&["job", "set", job, "--group", "zz"]).await.code, 7);
    assert_eq!(machine.say(&["job", "set", job, "--group", "none"]).await.code, 0);
    assert_eq!(kept().await, serde_json::Value::Null);
    assert_eq!(machine.say(&["job", "set", job, "--group", "other"]).await.code, 0);
    let other = machine.shown().await["groups"].as_array().unwrap().clone();
    let other = other.into_iter().find(|group| group["name"] == "other").unwrap();
    assert_eq!(kept().await, other["id"], "by its name");
}

#[tokio::test]
async fn group_8_a_machine_in_two_groups_is_asked_which_one_is_meant() {
    let home = Home::new();
    made(&home).await;
    owner(&home, &["group", "create", "other"]).await;
    let machine = Machine { home: &home, name: "state" };
    let id = machine.id().await;
    // Whether a node runs or not: the second one is handed in while one does.
    let first = invited(&home, &machine).await;
    assert_eq!(machine.say(&["group", "join", &first]).await.code, 0);
    let daemon = Daemon::start(&home, &[]).await;
    let roles = ["--roles", "fetch,serve,enrol"];
    let other =
        owner(&home, &[&["group", "token", "--group", "other.group", &id][..], &roles].concat()).await;
    let ran = machine.say(&["group", "join", other.trim()]).await;
    assert!(ran.code == 0 && ran.out.starts_with("member of group "), "{ran:?}");
    assert_eq!(machine.say(&["group", "join", other.trim()]).await.out.find("nothing new"), Some(0));
    let shown = machine.shown().await;
    let ids: Vec<&str> =
        shown["groups"].as_array().unwrap().iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!((ids.len(), shown["group"]["id"].as_str()), (2, Some(ids[0])));
    assert!(shown["groups"][0]["connected"] == 0 && shown["groups"][1]["connected"] == 0, "{shown}");
    let ran = machine.say(&["group", "show"]).await;
    assert!(ids.iter().all(|id| ran.out.contains(id)) && ran.out.contains("0 members"), "{ran:?}");
    assert!(ran.out.contains("name       branch") && ran.out.contains("name       other"), "{}", ran.out);
    a_job_keeps_to_one(&machine, &ids).await;
    // Of one enroller's groups the one in which it is an enroller is meant.
    let ran = machine.say(&["group", "ticket"]).await;
    assert!(ran.code == 0 && ran.out.starts_with("nearbits-ticket-1:"), "{ran:?}");
    let none = machine.say(&["group", "ticket", "--group", "zz"]).await;
    assert!(none.error_line(7).contains(ids[0]), "{none:?}");
    let ran = machine.say(&["group", "leave"]).await;
    let line = ran.error_line(2);
    assert!(ids.iter().all(|id| line.contains(id)), "{line}");
    // A third takes the place of neither.
    owner(&home, &["group", "create", "third"]).await;
    let third = owner(&home, &["group", "token", "--group", "third.group", &id]).await;
    let ran = machine.say(&["group", "join", third.trim(), "--replace"]).await;
    assert!(ran.error_line(2).contains(ids[1]), "{ran:?}");
    let ran = machine.say(&["group", "leave", &ids[0][..8]]).await;
    assert!(ran.code == 0 && ran.out.contains(ids[1]), "{ran:?}");
    assert_eq!(machine.shown().await["group"]["id"].as_str(), Some(ids[1]));
    daemon.kill().await;
    assert_eq!(machine.shown().await["groups"].as_array().map(Vec::len), Some(1));
    assert_eq!(machine.say(&["group", "leave"]).await.code, 0);
}

#[tokio::test]
async fn group_8_of_two_groups_of_one_name_an_id_says_which_and_a_name_that_is_an_id_means_nothing() {
    let home = Home::new();
    let machine = Machine { home: &home, name: "state" };
    let id = machine.id().await;
    let invited = async |name: &str, dir: &str| {
        std::fs::create_dir_all(home.join(dir)).unwrap();
        owner(&home, &["group", "create", name, "--dir", dir]).await;
        let file = format!("{dir}/{name}.group");
        let line = owner(&home, &["group", "token", "--group", &file, &id]).await;
        let ran = machine.say(&["group", "join", line.trim()]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
    };
    invited("branch", "a").await;
    invited("branch", "b").await;
    let groups = machine.shown().await["groups"].as_array().unwrap().clone();
    let ids: Vec<&str> = groups.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(groups.iter().all(|one| one["name"] == "branch"), "{groups:?}");
    let line = machine.say(&["group", "leave", "branch"]).await.error_line(2).to_owned();
    assert!(ids.iter().all(|id| line.contains(&format!("{id} (branch)"))), "{line}");
    // Somebody calls his group as another one is numbered.
    invited(ids[0], "c").await;
    let ran = machine.say(&["group", "leave", ids[0]]).await;
    assert!(ran.code == 0 && ran.out.contains(ids[1]), "{ran:?}");
    let left = machine.shown().await["groups"].as_array().unwrap().clone();
    assert!(left.len() == 2 && left.iter().all(|one| one["id"] != ids[0]), "{left:?}");
    assert_eq!(
        machine.say(&["group", "leave", "branch"]).await.code,
        0,
        "it is the only one of that name now"
    );
    assert_eq!(machine.shown().await["group"]["name"], ids[0]);
}

#[tokio::test]
async fn group_6_who_is_forgotten_is_denied_by_all_who_take_the_list() {
    let home = Home::new();
    made(&home).await;
    let [one, two] = ["one", "two"].map(|name| Machine { home: &home, name });
    for machine in [&one, &two] {
        let line = invited(&home, machine).await;
        assert_eq!(machine.say(&["group", "join", &line]).await.code, 0);
    }
    let forget = ["group", "forget", "--group", "branch.group", "--out"];
    owner(&home, &[&forget[..], &["first", &"ab".repeat(16)]].concat()).await;
    owner(&home, &[&forget[..], &["second", &two.id().await]].concat()).await;
    for machine in [&one, &two] {
        let ran = machine.say(&["group", "join", "second"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let ran = machine.say(&["group", "update", "first"]).await;
        assert!(ran.code == 0 && ran.out.starts_with("ignored: a newer deny list"), "{ran:?}");
    }
    let shown = one.shown().await;
    let holder = two.shown().await["group"]["holder"].clone();
    assert!(
        shown["group"]["is_member"] == true && shown["group"]["denied"].as_array().unwrap().contains(&holder)
    );
    assert_eq!(two.shown().await["group"]["is_member"], false);
    let said = two.say(&["group", "show"]).await.out;
    assert!(said.contains("no member now, but a stranger"), "{said}");
    let ran = run(home.path(), &["group", "token", "--group", "branch.group", &two.id().await]).await;
    assert!(ran.error_line(6).contains("was forgotten"), "{ran:?}");
}

#[tokio::test]
async fn group_7_and_group_8_epochs_follow_each_other_and_a_stolen_key_is_abandoned() {
    let home = Home::new();
    made(&home).await;
    let one = Machine { home: &home, name: "one" };
    let line = invited(&home, &one).await;
    one.say(&["group", "join", &line]).await;
    let rotate = ["group", "rotate", "--group", "branch.group"];
    assert!(owner(&home, &rotate).await.contains("epoch 2"));
    let all = ["group", "token", "--group", "branch.group", "--all"];
    let line = owner(&home, &all).await;
    assert_eq!(one.say(&["group", "join", line.trim()]).await.code, 0);
    let before = one.shown().await;
    assert_eq!(before["group"]["epoch"], 2);
    // Of an epoch that is old its owner is reminded.
    let text = std::fs::read_to_string(home.join("branch.group")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let since = file["since"].as_u64().unwrap();
    for (days, is_old) in [(89, false), (91, true)] {
        file["since"] = (since - days * 24 * 60 * 60).into();
        std::fs::write(home.join("branch.group"), file.to_string()).unwrap();
        let ran = run(home.path(), &all).await;
        assert_eq!(ran.err.contains("more than 90 days ago"), is_old, "{ran:?}");
    }
    assert!(owner(&home, &[&rotate[..], &["--abandon"]].concat()).await.contains("--replace"));
    let line = owner(&home, &all).await;
    // It is another group: a machine is in both until it leaves the old one, or goes over at once.
    assert_eq!(one.say(&["group", "join", line.trim()]).await.code, 0);
    assert_eq!(one.shown().await["groups"].as_array().map(Vec::len), Some(2));
    assert_eq!(one.say(&["group", "join", "--replace", line.trim()]).await.code, 0);
    let after = one.shown().await;
    assert_eq!(after["groups"].as_array().map(Vec::len), Some(1));
    assert!(after["group"]["is_member"] == true && after["group"]["id"] != before["group"]["id"]);
}

#[tokio::test]
async fn group_1_and_group_3_what_cannot_be_granted_is_refused_in_one_line() {
    let home = Home::new();
    made(&home).await;
    let id = Machine { home: &home, name: "one" }.id().await;
    let token = ["group", "token", "--group", "branch.group"];
    std::fs::write(home.join("ids"), format!("{id}\nnobody\n")).unwrap();
    let before = std::fs::read(home.join("branch.group")).unwrap();
    for (args, code, says) in [
        (vec![&*id, "--days", "31"], 2, "30 days at most"),
        (vec![&id, "--days", "0"], 2, "30 days at most"),
        (vec![&id, "--roles", "fetch,attest", "--days", "8"], 2, "7 days at most"),
        (vec![&id, "--roles", "serve"], 2, "without the role fetch"),
        (vec![&id, "--roles", "fetch,fly"], 2, "\"fly\" is no role"),
        (vec!["12D3KooW"], 2, "not a peer id"),
        (vec!["--peers", "ids"], 2, "line 2"),
        (vec!["--peers", "nothing"], 2, "cannot read nothing"),
        (vec![], 2, "PEER-ID"),
    ] {
        let ran = run(home.path(), &[&token[..], &args].concat()).await;
        assert!(ran.error_line(code).contains(says), "{args:?}: {ran:?}");
        assert!(ran.out.is_empty(), "{args:?}");
    }
    assert_eq!(std::fs::read(home.join("branch.group")).unwrap(), before, "nothing was given out");
    for (file, code) in [("nothing.group", 7), ("ids", 2)] {
        let ran = run(home.path(), &["group", "token", "--group", file, &id]).await;
        assert!(ran.error_line(code).contains(file), "{ran:?}");
    }
    let state = home.text("one");
    for (what, says) in [
        ("nothing", "neither an invitation nor a file"),
        ("ids", "line 1"),
        ("nearbits-invitation-2:00", "cut short"),
    ] {
        let ran = run(home.path(), &["group", "join", what, "--state-dir", &state]).await;
        assert!(ran.error_line(2).contains(says), "{ran:?}");
    }
}

#[tokio::test]
async fn group_4_a_token_whose_invitation_has_no_place_is_not_granted_and_what_is_no_invitation_is_named() {
    let (home, machine) = (Home::new(), "machine");
    let machine = Machine { home: &home, name: machine };
    made(&home).await;
    std::fs::write(home.join("noise"), [0xff; 300]).unwrap();
    std::fs::create_dir(home.join("folder")).unwrap();
    let (before, id) = (std::fs::read(home.join("branch.group")).unwrap(), machine.id().await);
    let token = ["group", "token", "--group", "branch.group", &id, "--out"];
    let ran = run(home.path(), &[&token[..], &["noise"]].concat()).await;
    assert!(ran.error_line(2).contains("noise is a file"), "{ran:?}");
    let ran = run(home.path(), &[&token[..], &["/proc/none"]].concat()).await;
    assert!(ran.error_line(5).contains("/proc/none"), "{ran:?}");
    assert!(std::fs::read(home.join("branch.group")).unwrap() == before, "nobody was made a member");
    for (offer, says) in [("", "is empty"), ("noise", "is no text"), ("folder", &id), ("absent", "absent")] {
        let ran = machine.say(&["group", "join", offer]).await;
        assert!(ran.error_line(2).contains(says), "{offer}: {ran:?}");
    }
}

#[tokio::test]
async fn group_4_a_branch_of_three_is_enrolled_by_a_ticket_that_is_used_up_then() {
    let home = Home::new();
    made(&home).await;
    let daemon = Daemon::start(&home, &[]).await;
    let enroller = Machine { home: &home, name: "state" };
    let token = ["group", "token", "--group", "branch.group", "--roles", "fetch,serve,enrol"];
    let id = enroller.id().await;
    let line = owner(&home, &[&token[..], &[&id]].concat()).await;
    let ran = enroller.say(&["group", "ticket"]).await;
    assert!(ran.error_line(7).contains("in no group"), "{ran:?}");
    assert_eq!(enroller.say(&["group", "join", line.trim()]).await.code, 0);
    let ran = enroller.say(&["group", "ticket", "--uses", "2", "--for", "30m"]).await;
    assert!(ran.code == 0 && ran.err.contains("makes 2 machines a member"), "{ran:?}");
    let ticket = ran.out.trim().to_owned();
    assert!(ticket.starts_with("nearbits-ticket-1:") && !ticket.contains('\n'), "{ticket}");
    // Their nodes do not run: each redeems it by one of its own, for a moment.
    for name in ["one", "two"] {
        let machine = Machine { home: &home, name };
        let ran = machine.say(&["group", "join", &ticket]).await;
        assert!(ran.code == 0 && ran.out.starts_with("member of group"), "{ran:?}");
        let shown = machine.shown().await;
        assert_eq!(shown["group"]["is_member"], true, "{shown}");
        assert_eq!(shown["group"]["roles"], serde_json::json!(["fetch", "serve"]));
        let ran = machine.say(&["group", "join", &ticket]).await;
        assert!(ran.code == 0 && ran.out.starts_with("nothing new"), "{ran:?}");
    }
    let three = Machine { home: &home, name: "three" };
    let ran = three.say(&["group", "join", &ticket]).await;
    assert!(ran.error_line(6).contains("used up: ask for another"), "{ran:?}");
    for (args, code, says) in [
        (["--roles", "fetch,attest"], 2, "a ticket gives fetch and serve"),
        (["--uses", "1001"], 2, "1 to 1000 machines"),
        (["--for", "25h"], 2, "24 hours at most"),
        (["--address", "here"], 2, "no address"),
    ] {
        let ran = enroller.say(&[&["group", "ticket"], &args[..]].concat()).await;
        assert!(ran.error_line(code).contains(says), "{ran:?}");
    }
    daemon.kill().await;
    assert_eq!(mode(&home.join("state/tickets.json")), 0o600);
}
