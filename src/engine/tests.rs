//! The engine against scripted hands in virtual time.

mod flow;
mod serving;
mod sources;
mod trust;
mod world;
