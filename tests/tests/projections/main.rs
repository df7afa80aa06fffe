//! The read models: rows and checkpoint together, one owner at a time, nothing skipped, nothing old passed off as new.

mod counter;
mod dead_letters;
mod fraud;
mod history;
mod list;
mod live;
mod owners;
mod poison;
mod rebuild;
mod rebuild_attended;
mod rebuild_faults;
mod rebuild_stretches;
mod shop;
mod upgrade;
mod verify;
mod watch;
mod what_if;
