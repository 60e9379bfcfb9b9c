//! The dialogue, driven by hand: two sessions and the frames between them.

mod enrolling;
mod groups;
mod handing;
mod hello;
mod lists;
mod lookups;
mod many;
mod meet;
mod pair;
mod requests;
mod scripts;
mod swarms;
