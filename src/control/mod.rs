//! The control door: HTTP/1.1 and JSON over a Unix socket, for the commands of the same user.
//!
//! Knows: what both ends say ([`api`]), who is let in ([`server`]) and what is answered, how to ask ([`client`]).
//! Does not know: how a job is carried out; that is behind the driver's handle.

pub mod api;
mod attested;
mod cached;
pub mod client;
pub mod desk;
pub mod events;
#[cfg(test)]
mod fake;
mod follow;
mod glob;
mod group;
mod openapi;
mod peers;
mod ranges;
pub mod server;
mod socket;
mod verbs;

pub use socket::{BindError, ControlSocket};
