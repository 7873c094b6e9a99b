//! Against an API that says what the test tells it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::base::task::Tasks;
use crate::cli::{ApiUrl, ConfigFile};

const TOKEN: &str = "s3cret";

/// What the API did.
type Seen = Arc<Mutex<Vec<String>>>;

/// A node with so many leases, and FFmpegs that run.
fn node(state: &str, leases: usize, running: usize) -> Value {
    let (leases, drained) = (vec![7; leases], state == "draining" && leases == 0 && running == 0);
    json!({ "name": "n1", "state": state, "leases": leases, "leases_reported": running, "drained": drained })
}

fn refusal(status: u16, message: &str) -> (StatusCode, Json<Value>) {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Json(json!({ "code": "some", "message": message })))
}

/// Serves one answer after the other for the node, the last one from then on; orders are taken for `n1`.
async fn serve(answers: Vec<(StatusCode, Json<Value>)>) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let (asked, ordered, undone) = (seen.clone(), seen.clone(), seen.clone());
    let order = async |seen: Seen, word: &str, headers: HeaderMap, path: axum::extract::Path<String>| {
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        seen.lock().expect("nobody panicked").push(format!("{word} {} {token}", path.0));
        match path.0.as_str() {
            "n1" => Ok(StatusCode::NO_CONTENT),
            other => Err(refusal(404, &format!("there is no node named {other}"))),
        }
    };
    let next = move || {
        let mut seen = asked.lock().expect("nobody panicked");
        let index = seen.iter().filter(|line| *line == "get").count();
        seen.push("get".to_owned());
        let answer = answers.get(index).or(answers.last()).cloned();
        async { answer.unwrap_or_else(|| refusal(500, "nobody told me what to say")) }
    };
    let drain = post(move |path, headers| order(ordered, "drain", headers, path))
        .delete(move |path, headers| order(undone, "undrain", headers, path));
    let router =
        Router::new().route("/api/v1/nodes/{id}", get(next)).route("/api/v1/nodes/{id}/drain", drain);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let tasks = Tasks::new();
    tasks.spawn(crate::proxy::api::serve(listener, router, tasks.clone(), Default::default()));
    (address, seen)
}

fn shown(states: &[(&str, usize, usize)]) -> Vec<(StatusCode, Json<Value>)> {
    states
        .iter()
        .map(|&(state, leases, running)| (StatusCode::OK, Json(node(state, leases, running))))
        .collect()
}

/// Waits for `n1` at an API that shows these, and says what was said, and the error at last.
async fn waited(answers: Vec<(StatusCode, Json<Value>)>) -> (Vec<String>, Option<String>) {
    let (address, _) = serve(answers).await;
    let mut said = Vec::new();
    let note = |line: &str| {
        said.push(line.to_owned());
        Ok(())
    };
    let node = "n1".parse().expect("a name");
    let result = wait_until_empty(&Api::at(address, None), &node, note).await;
    (said, result.err().map(|error| format!("{error:#}").replace(&address.to_string(), "PROXY")))
}

async fn check(answers: Vec<(StatusCode, Json<Value>)>, said: &[&str], error: Option<&str>) {
    let (told, ended) = waited(answers).await;
    assert_eq!((told, ended.as_deref()), (said.iter().map(|&line| line.to_owned()).collect(), error));
}

#[tokio::test]
async fn leases_are_told_as_they_go() {
    let going =
        [("alive", 2, 2), ("draining", 2, 2), ("draining", 2, 2), ("draining", 1, 2), ("draining", 0, 1)];
    let answers = shown(&[&going[..], &[("draining", 0, 0)]].concat());
    check(answers, &["n1 has 2 leases left", "n1 has 1 lease left", "n1 is empty"], None).await;
    check(shown(&[("draining", 0, 0)]), &["n1 is empty"], None).await;
}

#[tokio::test]
async fn a_node_that_is_gone_is_empty() {
    let mut answers = shown(&[("draining", 3, 3)]);
    answers.push(refusal(404, "there is no node named n1"));
    check(answers, &["n1 has 3 leases left", "n1 is empty"], None).await;
}

#[tokio::test]
async fn a_drain_that_was_taken_back_is_not_waited_for() {
    let answers = shown(&[("draining", 1, 1), ("alive", 1, 1)]);
    check(answers, &["n1 has 1 lease left"], Some("n1 was undrained meanwhile")).await;
}

#[tokio::test]
async fn an_api_that_fails_meanwhile_is_told() {
    let mut answers = shown(&[("draining", 1, 1)]);
    answers.push(refusal(503, "the fleet has stopped"));
    let error = "n1 stays drained until the proxy starts anew: the proxy at http://PROXY refuses: the fleet has stopped";
    check(answers, &["n1 has 1 lease left"], Some(error)).await;
    let no_node = vec![(StatusCode::OK, Json(json!({ "name": "n1" })))];
    let (said, error) = waited(no_node).await;
    assert!(said.is_empty() && error.is_some_and(|error| error.contains("is no headgate: missing field")));
}

#[tokio::test]
async fn orders_carry_the_token_and_are_refused_in_words() {
    let (address, seen) = serve(Vec::new()).await;
    let api = Api::at(address, Some(TOKEN));
    let (known, unknown) = ("n1".parse().expect("a name"), "n2".parse().expect("a name"));
    order(&api, Method::POST, &known).await.expect("it is taken");
    order(&api, Method::DELETE, &known).await.expect("it is taken");
    let refused = order(&api, Method::POST, &unknown).await.expect_err("there is none");
    assert_eq!(
        refused.to_string(),
        format!("the proxy at http://{address} refuses: there is no node named n2")
    );
    let expected = ["drain n1 Bearer s3cret", "undrain n1 Bearer s3cret", "drain n2 Bearer s3cret"];
    assert_eq!(*seen.lock().expect("nobody panicked"), expected);
}

#[test]
fn a_wrong_token_is_told_with_where_it_is_given() {
    let url: ApiUrl = "http://proxy:8080".parse().expect("an address");
    let error = |status| ApiError::Refused { url: url.clone(), status, message: "no".to_owned() }.to_string();
    assert_eq!(
        error(StatusCode::UNAUTHORIZED),
        "the proxy at http://proxy:8080 refuses: no. Give it with [http] api_token of --config FILE, or HEADGATE_API_TOKEN"
    );
    assert_eq!(error(StatusCode::FORBIDDEN), "the proxy at http://proxy:8080 refuses: no");
}

/// Writes a configuration and drains by it.
fn drained(config: &str, api: Option<String>) -> Exit {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, config).expect("a file can be written");
    let api = api.map(|url| url.parse().expect("an address"));
    let config = ConfigFile { path: Some(path) };
    run(&Drain { node: "n1".parse().expect("a name"), api, no_wait: true, config })
}

#[test]
fn the_exit_code_tells_what_to_mend() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (address, seen) = runtime.block_on(serve(Vec::new()));
    assert_eq!(drained(&format!("http.listen = '{address}'\nhttp.api_token = '{TOKEN}'"), None), Exit::Done);
    assert_eq!(drained("", Some(format!("http://{address}"))), Exit::Done);
    assert_eq!(*seen.lock().expect("nobody panicked"), ["drain n1 Bearer s3cret", "drain n1 "]);
    assert_eq!(drained("http.listen = 'here'", None), Exit::Usage);
    assert_eq!(drained("http.listen = '127.0.0.1:0'", None), Exit::Usage);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = nobody.local_addr().expect("it is bound");
    drop(nobody);
    assert_eq!(drained("", Some(format!("http://{address}"))), Exit::Failed);
    let undrain = Undrain {
        node: "n1".parse().expect("a name"),
        api: Some(format!("http://{address}").parse().expect("an address")),
        config: ConfigFile { path: None },
    };
    assert_eq!(run_undrain(&undrain), Exit::Failed);
}

/// A server that is none of ours, and one that says nothing that can be understood.
#[tokio::test]
async fn what_is_no_api_is_said_to_be_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let tasks = Tasks::new();
    let router = Router::new().fallback(async || (StatusCode::NOT_FOUND, "<html>"));
    tasks.spawn(crate::proxy::api::serve(listener, router, tasks.clone(), Default::default()));
    let error = order(&Api::at(address, None), Method::POST, &"n1".parse().expect("a name")).await;
    let expected = format!("what answers at http://{address} is no headgate: status 404 Not Found");
    assert_eq!(error.expect_err("it is another").to_string(), expected);
}
