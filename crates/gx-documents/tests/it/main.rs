//! Documents from upload to erasure, with a database, a folder and child processes.

mod confinement;
mod erasure;
mod inventory;
mod killed;
mod mutations;
mod pages;
mod requests;
mod retention;
mod scanner;
mod uploads;
mod world;
