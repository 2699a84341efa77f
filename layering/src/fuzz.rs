//! What a fuzzer drives of this crate, and what must hold whatever it finds: plans are read as they are written, and a pipeline
//! or rates make a plan of a closure that holds every path once at most.

use crate::draft::{Draft, PLAN_FORMAT, PLAN_VERSION};
use crate::{Pipeline, Plan, Rates, Settings, Strategy, plan};
use layerstone_closure::ReferencesGraph;
use layerstone_store::{StorePath, to_text};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// What pipelines and rates are tried on.
const GRAPH: &str = r#"[
    {"path": "/s/1-app", "narSize": 5, "references": ["/s/2-lib", "/s/3-tool", "/s/7-data"]},
    {"path": "/s/2-lib", "narSize": 50, "references": ["/s/2-lib", "/s/4-libc"]},
    {"path": "/s/3-tool", "narSize": 7, "references": ["/s/2-lib", "/s/5-sh"]},
    {"path": "/s/4-libc", "narSize": 300, "references": ["/s/6-hash"]},
    {"path": "/s/5-sh", "narSize": 70, "references": ["/s/4-libc"]},
    {"path": "/s/6-hash", "narSize": 1, "references": []},
    {"path": "/s/7-data", "narSize": 18446744073709551, "references": []},
    {"path": "/s/8-root", "narSize": 0, "references": ["/s/5-sh"]}
]"#;

/// A plan of ours or of another tool.
pub fn plan_file(bytes: &[u8]) {
    let (draft, plan) = (Draft::parse(bytes, "plan"), Plan::parse(bytes, "plan"));
    let Ok(plan) = plan else { return };
    assert_eq!(Draft::from(&plan), draft.expect("a plan is a draft of one"));
    let paths: Vec<&StorePath> = plan.layers.iter().flatten().collect();
    assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len());
    assert!((0..plan.layers.len()).all(|index| plan.key(index).is_some()));
    let text = to_text(PLAN_FORMAT, PLAN_VERSION, &plan);
    assert_eq!(Plan::parse(text.as_bytes(), "again").ok(), Some(plan));
    for end in (0..text.len() - 1).step_by(13) {
        assert!(Plan::parse(&text.as_bytes()[..end], "prefix").is_err(), "{}", &text[..end]);
    }
}

/// A pipeline, run on a closure.
pub fn pipeline(bytes: &[u8]) {
    if let Ok(pipeline) = Pipeline::parse(bytes, "pipeline") {
        check(Strategy::Pipeline(pipeline), Rates::default(), false);
        check_prefixes(bytes, |prefix| Pipeline::parse(prefix, "prefix").is_err());
    }
}

/// Rates of change, for a closure.
pub fn rates(bytes: &[u8]) {
    if let Ok(rates) = Rates::parse(bytes, "rates") {
        check(Strategy::LeastChurn, rates, true);
        check_prefixes(bytes, |prefix| Rates::parse(prefix, "prefix").is_err());
    }
}

/// A part of a file is none, but for blanks at its end.
fn check_prefixes(bytes: &[u8], is_error: impl Fn(&[u8]) -> bool) {
    let text = bytes.trim_ascii_end();
    for end in (0..text.len()).step_by(13) {
        assert!(is_error(&text[..end]), "{}", text[..end].escape_ascii());
    }
}

fn check(strategy: Strategy, rates: Rates, is_complete: bool) {
    let graph = ReferencesGraph::parse(GRAPH.as_bytes(), "graph").expect("it is one");
    let root = |text| StorePath::parse(text).expect("it is one");
    let closure = graph.closure(&[root("/s/1-app"), root("/s/8-root")]).expect("it is one");
    for limit in [1, 3, 100] {
        let limit = NonZeroUsize::new(limit).expect("it is not 0");
        let settings = Settings { strategy: strategy.clone(), rates: rates.clone(), ..Settings::new(limit) };
        let Ok(plan) = plan(&closure, &settings) else { return };
        let paths: Vec<&StorePath> = plan.layers.iter().flatten().collect();
        let once: BTreeSet<&StorePath> = paths.iter().copied().collect();
        assert_eq!(once.len(), paths.len(), "{plan:?}");
        assert!(!is_complete || once.len() == closure.graph.len(), "{plan:?}");
        assert!(plan.layers.len() <= limit.get() && plan.layers.iter().all(|layer| !layer.is_empty()), "{plan:?}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("plan_file", super::plan_file);
        xtask::replay("pipeline", super::pipeline);
        xtask::replay("rates", super::rates);
    }
}
