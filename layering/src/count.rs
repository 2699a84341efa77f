//! Counts the references, direct and through others, that lead to each path, exactly.
//!
//! Write w(x) for the number of routes by which x is reached: 1 for a path that nobody refers to, otherwise the sum of
//! w over its users. Each route to x also counts for all that lies below x, so that
//!
//! > popularity(p) = sum of w(x) over p itself and all direct and indirect users x of p.
//!
//! Both grow exponentially: where every path refers to the next twenty, 10,000 paths make counts of 10,000 bits. Three
//! ideas keep that quick.
//!
//! - Digits with room. A number is a row of 64-bit words that hold fewer bits each, so few that adding one row for
//!   every path cannot overflow a word. Sums are made word by word, and carries are settled once, at the end.
//! - Columns. Without carries no word depends on its neighbours. A column of [`LANES`] words of all numbers is summed
//!   by itself, small enough to stay in the processor's cache, and columns are summed in parallel.
//! - Subset sums, the method of the four Russians (Arlazarov, Dinic, Kronrod, Faradžev, 1970). For each eight
//!   neighbouring paths all 256 sums of their w are made; which of the eight are users of p is a byte, and one addition
//!   of the sum that it selects does for eight.

use rayon::prelude::*;

/// Words in a column: one cache line. Any other number gives the same counts.
const LANES: usize = 8;
type Lanes = [u64; LANES];

/// Paths whose subset sums are made together; the bits of a byte.
const BLOCK: usize = 8;
/// Subsets of a block.
const SUBSETS: usize = 1 << BLOCK;
/// Paths in a group: the bits of a word, eight blocks.
const GROUP: usize = 64;
/// Groups whose users are computed at one time; bounds memory to 512 bytes a path.
const BATCH: usize = 64;

/// An exact count; compares as a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count {
    /// Number of digits. It stands first, since of two counts the longer one is larger.
    length: usize,
    /// Digits, most significant first, without leading zeros, all counts of a closure in the same base.
    digits: Vec<u64>,
}

/// The popularity of each path, given each path's distinct users, who must have smaller numbers than the path.
pub(crate) fn popularity(users: &[Vec<u32>]) -> Vec<Count> {
    let bits = digit_bits(users.len());
    let routes = count_routes(users, bits);
    // A sum of settled digits needs no more words than the longest of them; settling it may add one.
    let words = routes.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns = vec![vec![[0; LANES]; users.len()]; words.div_ceil(LANES)];
    let groups: Vec<usize> = (0..users.len()).step_by(GROUP).collect();
    for batch in groups.chunks(BATCH) {
        let below: Vec<Vec<u64>> = batch.par_iter().map(|&first| below_group(users, first)).collect();
        columns.par_iter_mut().enumerate().for_each(|(index, column)| {
            let mut sums = vec![[0; LANES]; SUBSETS * GROUP / BLOCK];
            for (&first, below) in batch.iter().zip(&below) {
                let group = &routes[first..users.len().min(first + GROUP)];
                if sum_subsets(&mut sums, group, index * LANES) {
                    add_group(&mut column[first..], below, &sums);
                }
            }
        });
    }
    (0..users.len()).into_par_iter().map(|path| collect_count(&columns, path, bits)).collect()
}

/// Bits in a digit: as many as leave room to add up one digit for each of `paths` paths, and a carry.
fn digit_bits(paths: usize) -> u32 {
    (paths.max(1) as u64).leading_zeros()
}

/// w of each path, as settled digits.
fn count_routes(users: &[Vec<u32>], bits: u32) -> Vec<Vec<u64>> {
    let mut routes: Vec<Vec<u64>> = Vec::with_capacity(users.len());
    for users in users {
        let mut sum = if users.is_empty() { vec![1] } else { Vec::new() };
        for &user in users {
            let term = &routes[user as usize];
            sum.resize(sum.len().max(term.len()), 0);
            sum.iter_mut().zip(term).for_each(|(sum, term)| *sum += term);
        }
        settle(&mut sum, bits);
        routes.push(sum);
    }
    routes
}

/// Carries what is too large for a digit on to the next one.
fn settle(digits: &mut Vec<u64>, bits: u32) {
    let mut carry = 0;
    for digit in digits.iter_mut() {
        let sum = *digit + carry;
        *digit = sum & ((1 << bits) - 1);
        carry = sum >> bits;
    }
    // Less than the number of paths, and so a digit, but for closures of 2^32 paths and more, whose numbers are no u32.
    if carry > 0 {
        digits.push(carry);
    }
}

/// For each path from `first` on, which of the 64 paths from `first` on are itself or its users, direct and indirect.
fn below_group(users: &[Vec<u32>], first: usize) -> Vec<u64> {
    let mut below = Vec::with_capacity(users.len() - first);
    for (offset, users) in users[first..].iter().enumerate() {
        let own = if offset < GROUP { 1 << offset } else { 0 };
        let inherited = users.iter().filter_map(|&user| (user as usize).checked_sub(first)).map(|user| below[user]);
        below.push(inherited.fold(own, |all, user| all | user));
    }
    below
}

/// Makes the subset sums of a group's blocks, 256 a block, in the column that begins at word `from`; false if the
/// group has nothing there.
fn sum_subsets(sums: &mut [Lanes], group: &[Vec<u64>], from: usize) -> bool {
    if group.iter().all(|routes| routes.len() <= from) {
        return false;
    }
    for (block, sums) in group.chunks(BLOCK).zip(sums.chunks_mut(SUBSETS)) {
        for (bit, routes) in block.iter().enumerate() {
            let mut term = [0; LANES];
            let words = routes.get(from..).unwrap_or_default();
            term.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
            let (without, with) = sums.split_at_mut(1 << bit);
            for (with, without) in with.iter_mut().zip(without) {
                *with = std::array::from_fn(|lane| without[lane] + term[lane]);
            }
        }
    }
    true
}

/// Adds to each path's count the routes of those in a group that are itself or its users.
fn add_group(counts: &mut [Lanes], below: &[u64], sums: &[Lanes]) {
    for (count, below) in counts.iter_mut().zip(below) {
        let mut total = *count;
        for (subset, sums) in below.to_le_bytes().into_iter().zip(sums.chunks(SUBSETS)) {
            let sum = &sums[subset as usize];
            total = std::array::from_fn(|lane| total[lane] + sum[lane]);
        }
        *count = total;
    }
}

/// Puts a path's columns together.
fn collect_count(columns: &[Vec<Lanes>], path: usize, bits: u32) -> Count {
    let mut digits: Vec<u64> = columns.iter().flat_map(|column| column[path]).collect();
    settle(&mut digits, bits);
    let digits: Vec<u64> = digits.into_iter().rev().skip_while(|&digit| digit == 0).collect();
    Count { length: digits.len(), digits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A number in base 2^32 without any trick, least significant digit first.
    fn add(sum: &mut Vec<u32>, term: &[u32]) {
        sum.resize(sum.len().max(term.len()) + 1, 0);
        let mut carry = 0;
        for (at, digit) in sum.iter_mut().enumerate() {
            carry += u64::from(*digit) + u64::from(term.get(at).copied().unwrap_or(0));
            *digit = carry as u32;
            carry >>= 32;
        }
        while sum.last() == Some(&0) {
            sum.pop();
        }
    }

    /// The definition, word for word.
    fn slow(users: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut routes: Vec<Vec<u32>> = Vec::new();
        let mut above: Vec<Vec<bool>> = Vec::new();
        let mut counts = Vec::new();
        for (path, users) in users.iter().enumerate() {
            let mut own_routes = if users.is_empty() { vec![1] } else { vec![] };
            let mut own_above = vec![false; path + 1];
            own_above[path] = true;
            for &user in users {
                add(&mut own_routes, &routes[user as usize]);
                own_above.iter_mut().zip(&above[user as usize]).for_each(|(to, from)| *to |= from);
            }
            routes.push(own_routes);
            let mut count = vec![];
            (0..=path).filter(|&x| own_above[x]).for_each(|x| add(&mut count, &routes[x]));
            counts.push(count);
            above.push(own_above);
        }
        counts
    }

    /// The bits of a number, least significant first, ending with the highest one.
    fn bits_of(digits: &[impl Copy + Into<u64>], width: u32) -> Vec<bool> {
        let mut bits: Vec<bool> =
            digits.iter().flat_map(|&digit| (0..width).map(move |bit| digit.into() >> bit & 1 == 1)).collect();
        bits.truncate(bits.iter().rposition(|&bit| bit).map_or(0, |last| last + 1));
        bits
    }

    fn bits(count: &Count, width: u32) -> Vec<bool> {
        bits_of(&count.digits.iter().rev().copied().collect::<Vec<_>>(), width)
    }

    #[track_caller]
    fn check(users: &[Vec<u32>]) {
        let width = digit_bits(users.len());
        let counts: Vec<_> = popularity(users).iter().map(|count| bits(count, width)).collect();
        let expected: Vec<_> = slow(users).iter().map(|count| bits_of(count, 32)).collect();
        assert!(counts == expected, "{users:?}");
    }

    /// Every path refers to the next `next` ones.
    fn ladder(paths: u32, next: u32) -> Vec<Vec<u32>> {
        (0..paths).map(|path| (path.saturating_sub(next)..path).collect()).collect()
    }

    #[test]
    fn no_path_and_one_path() {
        check(&[]);
        check(&[vec![]]);
    }

    #[test]
    fn counts_of_many_words() {
        for (paths, next) in [(63, 2), (64, 3), (65, 64), (200, 3), (500, 1), (700, 20), (1100, 7)] {
            check(&ladder(paths, next));
        }
        assert_eq!(bits(&popularity(&ladder(700, 20))[699], digit_bits(700)).len(), 699);
    }

    #[test]
    fn counts_beyond_one_batch() {
        // A long chain under a ladder, so that users are many groups away.
        let mut users = ladder(150, 3);
        users.extend((150..(BATCH * GROUP + 200) as u32).map(|path| vec![path - 1]));
        let counts = popularity(&users);
        let expected = slow(&users[..400]);
        let width = digit_bits(users.len());
        for (count, expected) in counts.iter().zip(&expected) {
            assert_eq!(bits(count, width), bits_of(expected, 32));
        }
        // Down the chain each count is larger by the same number, the routes to its top.
        assert!(counts[149..].windows(2).all(|pair| pair[0] < pair[1]));
        let top = slow(&users[..150]);
        let mut last = top[149].clone();
        let mut routes = vec![];
        add(&mut routes, &slow_routes(&users[..150]));
        (150..users.len()).for_each(|_| add(&mut last, &routes));
        assert_eq!(bits(&counts[users.len() - 1], width), bits_of(&last, 32));
    }

    /// Ways to the last path.
    fn slow_routes(users: &[Vec<u32>]) -> Vec<u32> {
        let mut routes: Vec<Vec<u32>> = Vec::new();
        for users in users {
            let mut own = if users.is_empty() { vec![1] } else { vec![] };
            users.iter().for_each(|&user| add(&mut own, &routes[user as usize]));
            routes.push(own);
        }
        routes.pop().unwrap_or_default()
    }

    #[test]
    fn counts_compare_as_numbers() {
        let count = |digits: &[u64]| Count { length: digits.len(), digits: digits.iter().rev().copied().collect() };
        let ascending = [&[][..], &[1], &[9], &[0, 1], &[5, 1], &[0, 2], &[0, 0, 1]].map(count);
        assert!(ascending.is_sorted_by(|a, b| a < b));
    }

    proptest! {
        #[test]
        fn equal_to_the_definition(edges in proptest::collection::vec((0u32..150, 0u32..150), 0..900)) {
            let mut users = vec![Vec::new(); 150];
            for (a, b) in edges.into_iter().filter(|(a, b)| a != b) {
                users[a.max(b) as usize].push(a.min(b));
            }
            users.iter_mut().for_each(|users| { users.sort_unstable(); users.dedup(); });
            check(&users);
        }
    }
}
