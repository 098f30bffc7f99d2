//! The health check that lets a balancer's peers in little by little, through a real listener.

use std::time::Duration;

use crate::fixture::Fixture;
use crate::http::exchange;

/// Of 127.0.0.1, the hash is at step 14 of 100.
const STEP: u64 = 14;

async fn check(fixture: &Fixture) -> String {
    let answer = exchange(fixture, "GET /health/ramp HTTP/1.1\r\n", &[], b"").await;
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_peer_is_refused_until_the_ramp_reaches_its_step() {
    let fixture = Fixture::start_http(&[("health_ramp", "100s")]);
    assert_eq!(check(&fixture).await, "500");
    fixture.clock.advance(Duration::from_secs(STEP - 1));
    assert_eq!(check(&fixture).await, "500");
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(check(&fixture).await, "200");
    fixture.clock.advance(Duration::from_secs(1_000_000));
    assert_eq!(check(&fixture).await, "200");
}

#[tokio::test]
async fn a_daemon_that_is_not_ready_has_not_begun_its_ramp() {
    let fixture = Fixture::start_http(&[("health_ramp", "100s")]);
    fixture.context.ready.unset("reading the journal");
    assert_eq!(check(&fixture).await, "503");
    fixture.clock.advance(Duration::from_secs(1000));
    fixture.context.ready.set();
    assert_eq!(check(&fixture).await, "500", "the first check that could be answered is the first");
}
