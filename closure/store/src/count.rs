//! Tells how many things there are, for messages and screens.

use std::fmt::Display;

/// A number of things, in the singular if it is one: `1 layer`, `2 layers`.
pub fn counted<N: Display + From<u8> + PartialEq>(number: N, what: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_more() {
        assert_eq!([0, 1, 2].map(|number: usize| counted(number, "layer")), ["0 layers", "1 layer", "2 layers"]);
    }
}
