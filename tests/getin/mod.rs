//! Getting in: credentials of every kind from services that behave as those of the cloud do, TLS
//! with certificates of our own, signatures of version 2, and secrets that appear nowhere.

mod addressing;
mod front;
#[path = "../common/listener.rs"]
mod listener;
mod places;
mod providers;
mod refused;
mod renewal;
mod secrets;
mod services;
mod tls;
mod version2;
mod world;
