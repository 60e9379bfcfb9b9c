//! The engine against scripted hands in virtual time.

mod attested;
mod bans;
mod bounds;
mod chaos;
mod delivery;
mod desk;
mod flow;
mod groups;
mod invalid;
mod jobs;
mod lists;
mod members;
mod models;
mod ondemand;
mod plan;
mod raised;
mod recall;
mod repair;
mod rivals;
mod saves;
mod serving;
mod sources;
mod timers;
mod trust;
mod turns;
mod world;
