//! Bad input of every kind gets its typed error; nothing is half done, and the process goes on serving.

mod callers;
mod documents;
mod floods;
mod ids;
mod limits;
mod shop;
mod transport;
mod trusted;
mod values;
