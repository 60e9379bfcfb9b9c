//! Tickets at the command line: made on an enroller, redeemed on the machine that joins.
//!
//! Knows: that a machine whose node does not run redeems a ticket by a node of its own, for a moment. Does not know: what a
//! ticket gives (`driver`).

use std::path::Path;

use super::{Desk, moment, refused, told};
use crate::cli::args::{JoinArgs, TicketArgs};
use crate::cli::exit::{Exit, Stop};
use crate::cli::{place, reach, say, table};
use crate::control::api::{GroupOffer, GroupTaken, TicketOrder};
use crate::node::{Node, NodeConfig};

pub(super) async fn make(args: &TicketArgs) -> Result<Exit, Stop> {
    let order = TicketOrder {
        group: args.group.clone(),
        uses: args.uses,
        life_s: args.life_s,
        roles: args.roles.split(',').map(|name| name.trim().to_owned()).collect(),
        addresses: args.address.clone(),
    };
    let made = reach::running(&args.ask.place).await?.make_ticket(&order).await?;
    if args.ask.json {
        return table::json(&made);
    }
    say::line(&made.ticket);
    let until = moment(made.until_unix_s);
    let whom = match made.uses {
        1 => "one machine".to_owned(),
        uses => format!("{uses} machines"),
    };
    say::note(format_args!(
        "a secret: whoever has this line makes {whom} a member until {until}, with `nearbits group join`"
    ));
    Ok(Exit::Done)
}

pub(super) async fn join(desk: Desk, text: String, args: &JoinArgs) -> Result<Exit, Stop> {
    let offer = GroupOffer { text, replace: args.replace };
    let taken = match desk {
        Desk::Running(client) => client.offer_group(&offer).await?,
        Desk::Stopped(node) => {
            // The folder is given back to a node that can talk to the enroller.
            drop(node);
            redeemed(&place::state_dir(args.ask.place.state_dir.as_deref())?, &offer).await?
        }
    };
    if args.ask.json {
        return table::json(&taken.shown);
    }
    say::line(told(&taken));
    Ok(Exit::Done)
}

/// By a node that nobody can connect to, and that goes again.
async fn redeemed(state_dir: &Path, offer: &GroupOffer) -> Result<GroupTaken, Stop> {
    let config = NodeConfig { listen: Vec::new(), mdns: false, ..NodeConfig::embedded(state_dir.to_owned()) };
    let node = Node::start(config).await.map_err(|error| reach::refused(&error))?;
    let handle = node.handle();
    let taken = handle.join_by_ticket(&offer.text, offer.replace).await;
    let shown = handle.group().enrolled().await.into();
    node.shutdown().await;
    Ok(GroupTaken::of(&offer.text, taken.map_err(refused)?, shown))
}
