//! Checks the keys of `config`: what engines read of it, by the types that they read (OCI image-spec, config.md; moby,
//! api/types/container/config.go). What an engine cannot read it refuses, or leaves out without a word.

use layerstone_store::describe;
use serde_json::{Map, Value};

/// What a key holds. Null stands for nothing, as in Go.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Boolean,
    Number,
    Strings,
    /// `NAME=VALUE` each.
    Environment,
    /// An object whose values are empty objects, as Go writes a set.
    Set,
    /// A set of `PORT[/PROTOCOL]`.
    Ports,
    /// An object of strings.
    Labels,
    Healthcheck,
}

/// The keys of the OCI image-spec, and those that docker has besides.
const KEYS: [(&str, Kind); 28] = [
    ("User", Kind::Text),
    ("ExposedPorts", Kind::Ports),
    ("Env", Kind::Environment),
    ("Entrypoint", Kind::Strings),
    ("Cmd", Kind::Strings),
    ("Volumes", Kind::Set),
    // A relative one is joined to the base's.
    ("WorkingDir", Kind::Text),
    ("Labels", Kind::Labels),
    ("StopSignal", Kind::Text),
    ("ArgsEscaped", Kind::Boolean),
    ("Memory", Kind::Number),
    ("MemorySwap", Kind::Number),
    ("CpuShares", Kind::Number),
    ("Healthcheck", Kind::Healthcheck),
    ("Hostname", Kind::Text),
    ("Domainname", Kind::Text),
    ("AttachStdin", Kind::Boolean),
    ("AttachStdout", Kind::Boolean),
    ("AttachStderr", Kind::Boolean),
    ("Tty", Kind::Boolean),
    ("OpenStdin", Kind::Boolean),
    ("StdinOnce", Kind::Boolean),
    ("Image", Kind::Text),
    ("NetworkDisabled", Kind::Boolean),
    ("MacAddress", Kind::Text),
    ("OnBuild", Kind::Strings),
    ("StopTimeout", Kind::Number),
    ("Shell", Kind::Strings),
];

/// The keys of a health check, and whether they are numbers (of nanoseconds, and a count).
const HEALTHCHECK: [(&str, Kind); 6] = [
    ("Test", Kind::Strings),
    ("Interval", Kind::Number),
    ("Timeout", Kind::Number),
    ("StartPeriod", Kind::Number),
    ("StartInterval", Kind::Number),
    ("Retries", Kind::Number),
];

/// The keys and their types as JSON, for those who check a config before there is an image.json: `nix/config-keys.json`.
#[cfg(test)]
fn table() -> Value {
    let object = |keys: &[(&str, Kind)]| -> Value {
        keys.iter().map(|(key, kind)| ((*key).to_owned(), kind.name())).collect::<Map<_, _>>().into()
    };
    let mut table = object(&KEYS);
    table["Healthcheck"] = object(&HEALTHCHECK);
    table
}

/// The key of a config that this is but for its case.
pub fn config_key(key: &str) -> Option<&'static str> {
    KEYS.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(key))
}

/// What is wrong with a config, one line for each fault: `config.Cmd: found the string "x", expected a list of strings`.
pub fn faults(config: &Map<String, Value>) -> Vec<String> {
    let mut faults = Vec::new();
    check_object(config, &KEYS, "config", &mut faults);
    faults
}

fn check_object(object: &Map<String, Value>, keys: &[(&str, Kind)], path: &str, faults: &mut Vec<String>) {
    for (key, value) in object {
        match keys.iter().find(|(name, _)| name == key) {
            Some((_, kind)) => kind.check(value, &format!("{path}.{key}"), faults),
            None => {
                faults.push(format!("{path}.{key}: unknown key, the nearest known one is {:?}", nearest(key, keys)))
            }
        }
    }
}

/// The key that takes the fewest edits, small and large letters being the same.
fn nearest<'a>(key: &str, keys: &[(&'a str, Kind)]) -> &'a str {
    let distance =
        |(name, _): &&(&str, Kind)| strsim::damerau_levenshtein(&key.to_ascii_lowercase(), &name.to_ascii_lowercase());
    keys.iter().min_by_key(distance).map_or("", |(name, _)| name)
}

impl Kind {
    fn check(self, value: &Value, path: &str, faults: &mut Vec<String>) {
        let is_right = match (self, value) {
            (_, Value::Null) => true,
            (Kind::Text, value) => value.is_string(),
            (Kind::Boolean, value) => value.is_boolean(),
            (Kind::Number, value) => value.is_i64() || value.is_u64(),
            (Kind::Strings, Value::Array(items)) => {
                return check_items(items, path, faults, Value::is_string, "a string");
            }
            (Kind::Environment, Value::Array(items)) => {
                return check_items(items, path, faults, is_assignment, "NAME=VALUE");
            }
            (Kind::Set | Kind::Ports | Kind::Labels, Value::Object(object)) => {
                return self.check_values(object, path, faults);
            }
            (Kind::Healthcheck, Value::Object(object)) => {
                return check_object(object, &HEALTHCHECK, path, faults);
            }
            _ => false,
        };
        if !is_right {
            faults.push(format!("{path}: found {}, expected {}", describe(value), self.expected()));
        }
    }

    fn check_values(self, object: &Map<String, Value>, path: &str, faults: &mut Vec<String>) {
        for (key, value) in object {
            let (is_right, expected) = match self {
                Kind::Labels => (value.is_string(), "a string"),
                _ => (value.is_null() || value.as_object().is_some_and(Map::is_empty), "an empty object"),
            };
            if !is_right {
                faults.push(format!("{path}[{key:?}]: found {}, expected {expected}", describe(value)));
            }
            if matches!(self, Kind::Ports) && !is_port(key) {
                faults.push(format!("{path}: found {key:?}, expected PORT, PORT/tcp, PORT/udp or PORT/sctp"));
            }
        }
    }

    /// What the table calls it.
    #[cfg(test)]
    fn name(self) -> Value {
        let name = match self {
            Kind::Text => "text",
            Kind::Boolean => "boolean",
            Kind::Number => "number",
            Kind::Strings => "strings",
            Kind::Environment => "environment",
            Kind::Set => "set",
            Kind::Ports => "ports",
            Kind::Labels => "labels",
            Kind::Healthcheck => return Value::Null,
        };
        name.into()
    }

    fn expected(self) -> &'static str {
        match self {
            Kind::Text => "a string",
            Kind::Boolean => "true or false",
            Kind::Number => "a whole number",
            Kind::Strings => "a list of strings",
            Kind::Environment => "a list of strings NAME=VALUE",
            Kind::Set => "an object of empty objects, such as {\"/data\": {}}",
            Kind::Ports => "an object of empty objects, such as {\"80/tcp\": {}}",
            Kind::Labels => "an object of strings",
            Kind::Healthcheck => "an object",
        }
    }
}

fn check_items(items: &[Value], path: &str, faults: &mut Vec<String>, is_right: fn(&Value) -> bool, expected: &str) {
    for (index, item) in items.iter().enumerate().filter(|(_, item)| !is_right(item)) {
        faults.push(format!("{path}[{index}]: found {}, expected {expected}", describe(item)));
    }
}

fn is_assignment(value: &Value) -> bool {
    value.as_str().and_then(|text| text.split_once('=')).is_some_and(|(name, _)| !name.is_empty())
}

/// A port or a range of them, with a protocol or without (docker, go-connections, nat.go).
fn is_port(text: &str) -> bool {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let mut ends = ports.splitn(2, '-');
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    ends.all(is_number) && ["tcp", "udp", "sctp"].contains(&protocol.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(config: Value, expected: &[&str]) {
        assert_eq!(faults(config.as_object().unwrap()), expected);
    }

    /// Under LAYERSTONE_BLESS the file becomes what it should be.
    #[test]
    fn the_table_that_is_handed_out() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nix/config-keys.json");
        let text = serde_json::to_string_pretty(&table()).unwrap() + "\n";
        if std::env::var_os("LAYERSTONE_BLESS").is_some() {
            return std::fs::write(path, text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }

    #[test]
    fn what_engines_read() {
        check(json!({}), &[]);
        let all: Map<String, Value> = KEYS.iter().map(|(key, _)| ((*key).to_owned(), Value::Null)).collect();
        check(all.into(), &[]);
        let config = json!({
            "Cmd": ["/bin/x"], "Entrypoint": null, "Env": ["A=", "B=c=d"], "User": "1000:100", "WorkingDir": "",
            "ExposedPorts": {"80": {}, "80/tcp": {}, "5000-5010/UDP": null}, "Volumes": {"/data": {}},
            "Labels": {"a": "b", "": ""}, "StopTimeout": 3, "Tty": true, "StopSignal": "SIGTERM",
            "Healthcheck": {"Test": ["CMD", "x"], "Interval": 1_000_000_000, "Retries": 3},
        });
        check(config, &[]);
    }

    #[test]
    fn what_they_cannot_read() {
        check(json!({"Cmd": "x"}), &["config.Cmd: found the string \"x\", expected a list of strings"]);
        check(json!({"Entrypoint": ["x", 1]}), &["config.Entrypoint[1]: found the number 1, expected a string"]);
        check(
            json!({"Env": ["A", "=x", 7]}),
            &[
                "config.Env[0]: found the string \"A\", expected NAME=VALUE",
                "config.Env[1]: found the string \"=x\", expected NAME=VALUE",
                "config.Env[2]: found the number 7, expected NAME=VALUE",
            ],
        );
        check(json!({"Env": {"A": "b"}}), &["config.Env: found an object, expected a list of strings NAME=VALUE"]);
        let expected = "expected an object of empty objects, such as {\"80/tcp\": {}}";
        check(json!({"ExposedPorts": [80]}), &[&format!("config.ExposedPorts: found a list, {expected}")]);
        let expected = "expected PORT, PORT/tcp, PORT/udp or PORT/sctp";
        for port in ["http", "80/http", "", "70000", "1-x/tcp", "+1"] {
            check(json!({"ExposedPorts": {port: {}}}), &[&format!("config.ExposedPorts: found {port:?}, {expected}")]);
        }
        check(
            json!({"Volumes": {"/x": "y"}}),
            &["config.Volumes[\"/x\"]: found the string \"y\", expected an empty object"],
        );
        check(json!({"Labels": {"a": 1}}), &["config.Labels[\"a\"]: found the number 1, expected a string"]);
        check(json!({"User": 1000}), &["config.User: found the number 1000, expected a string"]);
        check(json!({"StopTimeout": 1.5}), &["config.StopTimeout: found the number 1.5, expected a whole number"]);
    }

    #[test]
    fn unknown_keys() {
        for (key, known) in [("cmd", "Cmd"), ("EntryPoint", "Entrypoint"), ("Envs", "Env"), ("workdir", "WorkingDir")] {
            check(json!({key: null}), &[&format!("config.{key}: unknown key, the nearest known one is {known:?}")]);
        }
        check(
            json!({"Healthcheck": {"test": []}}),
            &["config.Healthcheck.test: unknown key, the nearest known one is \"Test\""],
        );
    }
}
