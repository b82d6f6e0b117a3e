//! The official Python packages, unchanged, talk to the gateway: `/performance` shows what they
//! counted.

use super::{
    from_environment,
    gateway::{Gateway, get_json},
};
use serde_json::Value;
use std::{process::Command, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn the_official_clients_count_what_the_views_show() {
    let what = "the check with the Python packages openai and anthropic";
    let Some(python) = from_environment("AIMUX_PYTHON", what) else {
        return;
    };
    let gateway = Gateway::start("clients", &["--no-traffic", "--rate-limit", "0"], &[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outside/clients.py");
    let output = tokio::task::block_in_place(|| {
        let mut command = Command::new(python);
        command.args([script, &gateway.url]).output().unwrap()
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let counted: Value = serde_json::from_slice(&output.stdout).unwrap();

    // An answer may be a second old: ask until it has the last request.
    let sent = |endpoint: &Value| endpoint["sent"].as_u64().unwrap();
    let expected: u64 = counted.as_object().unwrap().values().map(sent).sum();
    let url = format!("{}/performance/endpoints", gateway.monitor);
    let mut view = get_json(&url).await;
    for _ in 0..50 {
        if view["aggregated"]["total_operations"].as_u64() >= Some(expected) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        view = get_json(&url).await;
    }
    gateway.end();
    for (endpoint, counted) in counted.as_object().unwrap() {
        let stats = &view["endpoints"][endpoint]["stats"];
        let shown = |field: &str| stats[field].as_u64().unwrap();
        assert_eq!(
            shown("total_operations"),
            counted["sent"].as_u64().unwrap(),
            "{endpoint}"
        );
        assert_eq!(
            shown("successful_operations"),
            counted["succeeded"].as_u64().unwrap(),
            "{endpoint}"
        );
        let statuses = &view["endpoints"][endpoint]["status_code_counts"];
        assert_eq!(statuses, &counted["by_status"], "{endpoint}");
    }
}
