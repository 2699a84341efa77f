//! Debian's Chromium without a window, driven through chromedriver (W3C WebDriver), for pages that we write.

use crate::support::require_tool;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A browser with nothing remembered, which ends when dropped.
pub struct Browser {
    driver: Child,
    address: String,
    session: String,
    _profile: tempfile::TempDir,
}

/// Keys by WebDriver's code points (W3C WebDriver, "Keyboard actions").
pub mod key {
    pub const LEFT: &str = "\u{e012}";
    pub const RIGHT: &str = "\u{e014}";
    pub const DOWN: &str = "\u{e015}";
    pub const HOME: &str = "\u{e011}";
    pub const ENTER: &str = "\u{e007}";
    pub const ESCAPE: &str = "\u{e00c}";
    pub const TAB: &str = "\u{e004}";
}

impl Browser {
    /// A new one, or the running test is skipped.
    #[track_caller]
    pub fn start() -> Option<Browser> {
        if !require_tool("chromium") || !require_tool("chromedriver") {
            return None;
        }
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let started = lines.by_ref().map(Result::unwrap).find(|line| line.contains("started successfully on port "));
        let port = started.unwrap().rsplit(' ').next().unwrap().trim_end_matches('.').to_owned();
        // Whatever else it says is read, so that it is not blocked.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut browser =
            Browser { driver, address: format!("127.0.0.1:{port}"), session: String::new(), _profile: profile };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1400,1000",
            &format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let answer = browser.ask("POST", "/session", Some(json!({"capabilities": {"alwaysMatch": wanted}})));
        browser.session = format!("/session/{}", answer["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Opens a file, which has been drawn when this returns.
    #[track_caller]
    pub fn open(&self, file: &Path) {
        self.post("/url", json!({"url": format!("file://{}", file.display())}));
    }

    /// Has it look like a screen of so many pixels, light or dark.
    #[track_caller]
    pub fn emulate(&self, width: u32, scheme: &str) {
        let metrics = json!({"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.command("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// What a function's body returns.
    #[track_caller]
    pub fn run(&self, body: &str) -> Value {
        self.post("/execute/sync", json!({"script": body, "args": []}))
    }

    /// What a promise gives, which is the value of an expression.
    #[track_caller]
    pub fn wait_for(&self, promise: &str) -> Value {
        let script = format!("const done = arguments[0]; ({promise}).then(done, (error) => done(String(error)));");
        self.post("/execute/async", json!({"script": script, "args": []}))
    }

    /// The text of an element.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let element = self.element(selector);
        self.ask("GET", &format!("{}/element/{element}/text", self.session), None).as_str().unwrap().to_owned()
    }

    /// Moves the pointer over the middle of an element.
    #[track_caller]
    pub fn hover(&self, selector: &str) {
        let origin = json!({"element-6066-11e4-a52e-4f735466cecf": self.element(selector)});
        let moved = json!({"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": origin});
        self.post("/actions", json!({"actions": [{"type": "pointer", "id": "mouse", "actions": [moved]}]}));
    }

    /// Clicks on an element, in the middle of the window, where nothing lies over it.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.run(&format!("document.querySelector({}).scrollIntoView({{block: 'center'}})", json!(selector)));
        self.post(&format!("/element/{}/click", self.element(selector)), json!({}));
    }

    /// Types into an element, which has the focus then.
    #[track_caller]
    pub fn keys(&self, selector: &str, text: &str) {
        self.post(&format!("/element/{}/value", self.element(selector)), json!({"text": text}));
    }

    /// Presses a key where the focus is.
    #[track_caller]
    pub fn press(&self, key: &str) {
        let presses = ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key}));
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keys", "actions": presses}]}));
    }

    /// What the console was told since the last call.
    #[track_caller]
    pub fn console(&self) -> Vec<Value> {
        self.post("/se/log", json!({"type": "browser"})).as_array().unwrap().clone()
    }

    /// The addresses of all that pages in files asked for since the last call, their own among them.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "performance"}));
        let events = log.as_array().unwrap().iter();
        let events = events.map(|entry| serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap());
        let sent = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        let sent = sent.map(|mut event| event["message"]["params"].take());
        // The browser's own first page asks for much.
        let sent = sent.filter(|sent| sent["documentURL"].as_str().unwrap().starts_with("file://"));
        sent.map(|sent| sent["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", json!({"using": "css selector", "value": selector}));
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    fn command(&self, name: &str, parameters: Value) {
        self.post("/goog/cdp/execute", json!({"cmd": name, "params": parameters}));
    }

    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), Some(body))
    }

    /// The value of an answer, which must be no error.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, value) = self.answer(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {value}");
        value
    }

    fn answer(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        (status, answer["value"].clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // This ends the browser. A driver that is gone answers nothing, and a second panic would end the process.
        if !self.session.is_empty() {
            let ended = std::panic::AssertUnwindSafe(|| self.answer("DELETE", &self.session, None));
            let _ = std::panic::catch_unwind(ended);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
