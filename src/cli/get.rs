//! `nearbits get`: one file, from wherever it may come, and the command goes on when a node it leans on dies.
//!
//! Knows: how a job is handed in, followed, taken up again after its holder went, and ended by Ctrl-C. Does not know:
//! how its bytes come.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use peer_proto::time::Instant;

use super::args::GetArgs;
use super::exit::{Exit, Stop};
use super::patience::Patience;
use super::progress::Progress;
use super::reach::{self, Host, Reached};
use super::summary::Before;
use super::{group, place, say, signals, summary, wish, words};
use crate::clock::Clock;
use crate::control::api::{JobId, JobSpec, JobState, JobView, Submit, Verb};
use crate::control::client::{Client, ClientError};
use crate::node::{NodeConfig, OriginConfig, PeerAddress};

/// How often a node that went away is replaced by another one.
const HOLDERS_MAX: u32 = 50;
/// Reasons for waiting that are said; who has read so many knows how it goes.
const WAITS_SAID_MAX: usize = 16;
/// Time for the node to note that the job is suspended, when the user leaves.
const SUSPEND_TIMEOUT: Duration = Duration::from_secs(2);

/// A `get` on its way.
struct Get {
    args: GetArgs,
    spec: JobSpec,
    config: NodeConfig,
    clock: Clock,
    progress: Progress,
    patience: Patience,
    is_told: bool,
    /// What the job was told to wait for.
    waited_for: BTreeSet<String>,
    /// What was there of the job before this command.
    before: Option<Before>,
}

/// How the job ended for this command.
enum Ending {
    /// The file is there.
    Delivered(Box<JobView>),
    /// The node went away before the job ended: another one may take it up.
    NodeGone,
}

pub(super) async fn run(args: GetArgs) -> Result<Exit, Stop> {
    let clock = Clock::start();
    let mut get = Get {
        spec: wish::spec(&args)?,
        config: config(&args)?,
        progress: Progress::new(!args.json),
        patience: Patience::new(Duration::from_secs(args.timeout), clock.monotonic()),
        is_told: false,
        waited_for: BTreeSet::new(),
        before: None,
        clock,
        args,
    };
    get.say(&wish::first_line(&get.spec));
    let mut interrupted = std::pin::pin!(signals::interrupted());
    for _ in 0..HOLDERS_MAX {
        let reached = tokio::select! {
            reached = reach::running_or_own(&get.args.place, &get.config) => reached?,
            () = &mut interrupted => return Err(left(None, None)),
        };
        let Reached { client, mut host } = reached;
        let mut job = None;
        let ended = tokio::select! {
            ended = get.follow(&client, host.is_some(), &mut job) => ended,
            () = &mut interrupted => {
                let stopped = get.leave(&client, job, host).await;
                return Err(left(job, stopped.as_ref()));
            }
        };
        get.progress.finish();
        match ended {
            Ok(Ending::Delivered(view)) => {
                get.report(&client, &view).await;
                if let Some(host) = host.take() {
                    tokio::select! {
                        () = get.serve_on(host, &client) => {}
                        // The file is there: leaving early only hurries the neighbours.
                        () = &mut interrupted => {}
                    }
                }
                return Ok(Exit::Done);
            }
            // It may be about to give its folder back.
            Ok(Ending::NodeGone) if host.is_none() => tokio::time::sleep(reach::pause()).await,
            Ok(Ending::NodeGone) => {
                return Err(Stop::new(Exit::Fatal, "the embedded node broke: see its log"));
            }
            Err(stop) => {
                if let Some(host) = host.take() {
                    host.leave(&client, Duration::ZERO).await;
                }
                return Err(stop);
            }
        }
    }
    Err(Stop::new(Exit::Transient, "the nodes on this state folder keep going away: try again"))
}

impl Get {
    /// Serves neighbours as long as was asked for, and those that are still being served a moment longer.
    async fn serve_on(&self, host: Host, client: &Client) {
        let stay = Duration::from_secs(self.args.stay);
        if stay > Duration::ZERO {
            self.say(&format!("serving neighbours for {} s more; Ctrl-C ends it", self.args.stay));
            tokio::time::sleep(stay).await;
        }
        host.leave(client, Duration::from_secs(self.args.linger)).await;
    }

    /// Hands the job in, or takes it up where it was, and follows it.
    async fn follow(
        &mut self,
        client: &Client,
        is_own: bool,
        job: &mut Option<JobId>,
    ) -> Result<Ending, Stop> {
        match self.follow_to_the_end(client, is_own, job).await {
            Ok(view) => Ok(Ending::Delivered(Box::new(view))),
            Err(Trouble::Stop(stop)) => Err(stop),
            Err(Trouble::Client(error)) if error.is_gone() => Ok(Ending::NodeGone),
            Err(Trouble::Client(error)) => Err(error.into()),
        }
    }

    async fn follow_to_the_end(
        &mut self,
        client: &Client,
        is_own: bool,
        job: &mut Option<JobId>,
    ) -> Result<JobView, Trouble> {
        if !is_own {
            for peer in &self.args.peer {
                client.add_peer(peer).await?;
            }
            self.warn_if_flags_are_off(client).await?;
        }
        self.spec.group = group::one_group(self.args.group.as_deref(), client).await?;
        let submitted = client.submit(&Submit { spec: self.spec.clone(), adopt: true, start: true }).await?;
        *job = Some(submitted.id);
        let mut events = client.follow(submitted.id).await?;
        let mut is_fresh = submitted.adopted;
        loop {
            let patience = self.patience.left(self.clock.monotonic());
            let Ok(event) = tokio::time::timeout(patience, events.next()).await else {
                return Err(self.give_up(client, submitted.id).await.into());
            };
            let Some(view) = event? else {
                return Err(Stop::new(Exit::Fatal, "the node stopped telling of the job").into());
            };
            self.see(&view, submitted.adopted);
            self.patience.see(&view, self.clock.monotonic());
            match view.state {
                JobState::Acknowledged => return Ok(view),
                JobState::Cancelled => {
                    return Err(Stop::new(Exit::Partial, "the job was cancelled by another command").into());
                }
                // An adopted job may stand still since its last `get` ended.
                JobState::Suspended | JobState::Error | JobState::TransientError if is_fresh => {
                    is_fresh = false;
                    client.command(submitted.id, Verb::Resume).await?;
                }
                JobState::Suspended => {
                    let line =
                        format!("the job was suspended: `nearbits job resume {}`, or get it again", view.id);
                    return Err(Stop::new(Exit::Partial, line).into());
                }
                JobState::Error => return Err(self.failed(client, &view).await.into()),
                _ if self.patience.is_over(self.clock.monotonic()) => {
                    return Err(self.give_up(client, submitted.id).await.into());
                }
                JobState::TransientError
                | JobState::Queued
                | JobState::Connecting
                | JobState::Transferring
                | JobState::Transferred => is_fresh = false,
            }
        }
    }

    /// Shows where the job stands, and says once what it waits for: somebody may be able to do something about it.
    fn see(&mut self, view: &JobView, is_adopted: bool) {
        self.progress.show(view);
        if self.before.as_ref().is_none_or(|before| before.job != view.id) {
            self.before = Some(Before::of(view, is_adopted));
        }
        let waits = view.state == JobState::TransientError && !view.reason.is_empty();
        if waits
            && self.waited_for.len() < WAITS_SAID_MAX
            && self.waited_for.insert(view.reason.clone())
            && !self.progress.is_drawn()
        {
            self.say(&format!("waiting: {}; it is tried again", view.reason));
        }
    }

    /// Says once that the node we found does not let jobs use peers, and how to change that.
    async fn warn_if_flags_are_off(&mut self, client: &Client) -> Result<(), ClientError> {
        if self.is_told
            || !self.spec.flags.client
            || self.spec.files.iter().all(|file| file.digests.is_empty())
        {
            return Ok(());
        }
        self.is_told = true;
        let flags = client.flags().await?;
        if !flags.client {
            let remedy = words::flags_remedy(flags);
            self.say(&format!("the node's own client flag is off, so no peer is asked: {remedy}"));
        }
        Ok(())
    }

    async fn failed(&self, client: &Client, view: &JobView) -> Stop {
        self.print_why(client, view.id).await;
        let exit = Exit::of_job(view);
        // What is of no use to a later try is taken away; else the same command goes on from it (D20).
        if exit == Exit::Integrity || view.stored == 0 {
            drop(client.command(view.id, Verb::Cancel).await);
        }
        Stop::new(exit, view.reason.clone())
    }

    async fn give_up(&self, client: &Client, id: JobId) -> Stop {
        let view = client.job(id).await.ok();
        self.print_why(client, id).await;
        drop(client.command(id, Verb::Suspend).await);
        let again = view.as_ref().map_or(GOES_ON, what_again);
        // In the middle of a try the last one says why it is needed.
        let last = |view: JobView| match view.error {
            Some(error) if view.reason.is_empty() => error.message,
            _ => view.reason,
        };
        let reason = view.map(last).filter(|reason| !reason.is_empty());
        let reason = reason.unwrap_or_else(|| "no byte came".into());
        let line =
            format!("gave up after {} s in which no byte was added: {reason}; {again}", self.args.timeout);
        Stop::new(Exit::Transient, line)
    }

    /// The user leaves. Gives the job as it is left, if there is one and its node says so in time.
    async fn leave(&self, client: &Client, job: Option<JobId>, host: Option<Host>) -> Option<JobView> {
        self.progress.finish();
        let mut left = None;
        let suspended = async {
            if let Some(job) = job {
                left = client.command(job, Verb::Suspend).await.ok().map(|done| done.job);
            }
            if let Some(host) = host {
                host.end().await;
            }
        };
        drop(tokio::time::timeout(SUSPEND_TIMEOUT, suspended).await);
        left
    }

    async fn report(&self, client: &Client, view: &JobView) {
        let took = self.clock.monotonic().since(Instant::ZERO);
        let mut view = view.clone();
        if let Some(before) = &self.before {
            before.take_from(&mut view);
        }
        self.print_why(client, view.id).await;
        if self.args.json {
            say::line(summary::json(&view, took));
        } else {
            say::line(summary::people(&view, took));
        }
    }

    /// The reasons go where the object does not.
    async fn print_why(&self, client: &Client, id: JobId) {
        if self.args.why
            && let Ok(decisions) = client.why(id).await
        {
            self.say(&summary::why(&decisions));
        }
    }

    /// Standard output belongs to the object if one was asked for.
    fn say(&self, text: &str) {
        if self.args.json {
            say::aside(text);
        } else {
            say::line(text);
        }
    }
}

/// What the user who leaves is told: of the job as it was left, where its node still said so.
fn left(job: Option<JobId>, view: Option<&JobView>) -> Stop {
    let line = match job {
        Some(_) => format!("interrupted; {}", view.map_or(GOES_ON, what_again)),
        None => "interrupted before anything was fetched".to_owned(),
    };
    Stop::new(Exit::Interrupted, line)
}

/// What the same command does after this one.
const fn what_again(view: &JobView) -> &'static str {
    if view.files_from_zero == 0 { GOES_ON } else { BEGINS_ANEW }
}

const GOES_ON: &str = "what was fetched stays, the same command goes on from there";
const BEGINS_ANEW: &str =
    "the origin cannot go on in the middle of the file, so that the same command begins anew";

/// What ends following: our own verdict, or the node's silence.
enum Trouble {
    Stop(Stop),
    Client(ClientError),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// The node that is embedded when none runs.
fn config(args: &GetArgs) -> Result<NodeConfig, Stop> {
    let listen = if args.listen.is_empty() { anywhere() } else { args.listen.clone() };
    Ok(NodeConfig {
        listen,
        mdns: !args.no_mdns,
        static_peers: peers(&args.peer)?,
        origin: OriginConfig { extra_ca: args.extra_ca.clone(), ..OriginConfig::default() },
        ..NodeConfig::embedded(place::state_dir(args.place.state_dir.as_deref())?)
    })
}

/// Every address, a port of the system's choice.
pub(super) fn anywhere() -> Vec<SocketAddr> {
    vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))]
}

/// Addresses of peers, as people write them.
pub(super) fn peers(texts: &[String]) -> Result<Vec<PeerAddress>, Stop> {
    let parse = |text: &String| text.parse().map_err(|error| Stop::usage(format!("--peer {text}: {error}")));
    texts.iter().map(parse).collect()
}
