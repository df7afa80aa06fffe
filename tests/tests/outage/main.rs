//! The database is killed, stopped, frozen, restarted or full: every request meanwhile is told so, typed and in bounded
//! time; readiness says why not; and when the database is back, everything goes on by itself, with nothing lost.

mod full;
mod gone;
mod load;
