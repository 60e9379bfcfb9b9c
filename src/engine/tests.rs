//! The engine against scripted hands in virtual time.

mod chaos;
mod flow;
mod groups;
mod models;
mod recall;
mod serving;
mod sources;
mod trust;
mod world;
