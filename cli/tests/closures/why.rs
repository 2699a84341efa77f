//! `closure --why`: the chains of references that bring a path in.

use super::{A, B, C, D, E, place};
use crate::support::Place;
use serde_json::{Value, json};

#[test]
fn why() {
    let place = place();
    let expected = format!(
        "3 chains of references lead to {D}\n\n\
         {A}\n  {B}\n    {D}\n\n\
         {A}\n  {C}\n    {D}\n\n\
         {A}\n  {B}\n    {C}\n      {D}\n"
    );
    assert_eq!(place.ok(&format!("closure --why {D} web.json")).text(), expected);
    let expected = format!("3 chains of references lead to {D}, the shortest 1\n\n{A}\n  {B}\n    {D}\n");
    assert_eq!(place.ok(&format!("closure --why {D} web.json --chains 1")).text(), expected);
    let expected = format!("3 chains of references lead to {D}\n\n{B}\n  {D}\n\n{C}\n  {D}\n\n{B}\n  {C}\n    {D}\n");
    assert_eq!(place.ok(&format!("closure --why {D} web.json {C} {B} --chains all")).text(), expected);
    let expected = format!("1 chain of references leads to {A}\n\n{A}\n");
    assert_eq!(place.ok(&format!("closure --why {A}/bin/web web.json")).text(), expected);
    assert_eq!(
        place.ok(&format!("closure --json --why {D} web.json --chains 2")).text(),
        format!(
            "{{\n  \"format\": \"layerstone/closure-why\",\n  \"version\": 1,\n  \"chains\": [\n    [\"{A}\",\"{B}\",\"{D}\"],\n    [\"{A}\",\"{C}\",\"{D}\"]\n  ],\n  \"path\": \"{D}\",\n  \"total\": 3\n}}\n"
        )
    );
}

/// A link to a store path will do, as everywhere.
#[test]
fn why_of_a_link() {
    let place = place();
    std::os::unix::fs::symlink(C, place.join("result")).unwrap();
    let found = place.ok(&format!("closure --why result web.json {A}"));
    assert!(found.text().starts_with(&format!("2 chains of references lead to {C}\n")), "{}", found.text());
}

/// More chains than could ever be printed, counted at once.
#[test]
fn why_with_exponentially_many_chains() {
    let at = |n: usize| format!("/nix/store/{n:032}-x{}", n / 2);
    let references = |n: usize| if n < 126 { vec![at(n / 2 * 2 + 2), at(n / 2 * 2 + 3)] } else { vec![] };
    let graph: Vec<Value> = (0..128).map(|n| json!({"path": at(n), "references": references(n)})).collect();
    let place = Place::new();
    place.write("x.json", Value::from(graph).to_string());
    let run = place.ok(&format!("closure --why {} x.json", at(127)));
    assert!(run.text().starts_with("9223372036854775808 chains of references lead to"), "{}", run.text());
    assert_eq!(run.text().lines().filter(|line| line.is_empty()).count(), 10);
}

#[test]
fn why_not() {
    let place = place();
    let absent = "/nix/store/9123456789abcdfghijklmnpqrsvwxyz-x";
    for (line, expected) in [
        (format!("closure --why {absent} web.json"), format!("web.json: not in the closure: {absent}")),
        (format!("closure --why {D} web.json {absent}"), format!("web.json: not in the closure: {absent}")),
        (
            format!("closure --why {A} web.json {D} {E}"),
            format!("no chain of references: web.json: {A} is not needed by {D}, {E}"),
        ),
        (
            "closure --why /etc/x web.json".to_owned(),
            "cannot find: /etc/x: No such file or directory (os error 2)".to_owned(),
        ),
    ] {
        assert_eq!(place.error_of(&line), format!("error: {expected}\n"), "{line}");
    }
}
