//! The search for a place in a PACKED block against the rule that its comment states, followed word by word.
//! May know: flat, spot, the block of the flat map's tests.

use super::Rng;
use super::flat::Block;
use crate::flat::*;
use crate::spot::divides;

/// The place that the rule gives: `flat` is asked for its holes only.
fn expected(flat: &Flat<&Block>, count: usize, align: usize, quick: bool, least: usize) -> Option<Spot> {
    let mut words = vec![Vec::new(); flat.granules().div_ceil(64)];
    flat.holes(&mut |hole, length| words[hole / 64].push(Spot { hole, length, at: hole.next_multiple_of(align) }));
    let serves = |spot: &&Spot| spot.at + count <= spot.hole + spot.length;
    let done = |spot: Spot| spot.length == count || (quick && (1..=4).any(|times| spot.length == times * count));
    let longest = |word: &Vec<Spot>| word.iter().map(|spot| spot.length).max().unwrap_or(0);
    let candidate = |word: &Vec<Spot>| (code(count)..=code(least)).contains(&code(longest(word)));
    for group in words.chunks(1024) {
        // A word whose longest hole is just as long.
        let few = quick && count <= 16;
        for word in group.iter().filter(|word| count < 128 && !few && longest(word) == count) {
            if let Some(&spot) = word.iter().filter(serves).find(|spot| spot.length == count && count < least) {
                return Some(spot);
            }
        }
        // Else the shortest of the first few words that have any.
        let visits = if few { 2 } else { 4 };
        let mut best: Option<Spot> = None;
        for (visited, word) in group.iter().filter(|word| candidate(word)).enumerate() {
            for &spot in word.iter().filter(serves) {
                if spot.length < best.map_or(least, |best| best.length) {
                    best = Some(spot);
                }
                if done(spot) {
                    break;
                }
            }
            if best.is_some_and(|best| visited + 1 >= visits || done(best)) {
                return best;
            }
        }
        if best.is_some() {
            return best;
        }
    }
    None
}

/// Cuts a block into pieces and frees every second one or so.
fn cut(flat: &Flat<&Block>, rng: &mut Rng, most: usize) {
    flat.init();
    let (granules, mut at) = (flat.granules(), 0);
    let mut holes = Vec::new();
    while at < granules {
        let end = (at + rng.log(most)).min(granules);
        flat.take(&Spot { hole: at, length: granules - at, at }, end - at);
        if rng.chance(2) {
            holes.push((at, end));
        }
        at = end;
    }
    for (from, to) in holes {
        flat.give(from, to, flat.hole_before(from));
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_search_finds_the_place_that_its_rule_gives() {
    let mut rng = Rng::new(47);
    let (mut exact, mut other, mut none, mut bounded) = (0, 0, 0, 0);
    for (granules, maps) in [(64usize, 40), (640, 40), (4096, 20), (1 << 16, 2), (1 << 17, 3)] {
        let block = Block::new(granules);
        let flat = block.flat();
        for _ in 0..maps {
            let most = [8, 40, 120, 600][rng.below(4)];
            cut(&flat, &mut rng, most);
            for _ in 0..60 {
                let (count, align, quick) = (rng.log(2 * most), 1 << rng.below(3), rng.chance(2));
                let least = if rng.chance(2) { usize::MAX } else { count + rng.below(3 * most) };
                let spot = flat.find(count, align, quick, least);
                let mut lengths = false;
                flat.holes(&mut |_, length| lengths |= length == count);
                if align > 1 && lengths {
                    // Where holes are long enough but begin at the wrong place, further words may be looked into.
                    continue;
                }
                let rule = expected(&flat, count, align, quick, least);
                assert_eq!(spot, rule, "{count} at {align}, {granules}, quick {quick}, below {least}");
                bounded += (spot.is_some() && least < usize::MAX) as usize;
                match spot {
                    Some(spot) if spot.length == count => exact += 1,
                    Some(_) => other += 1,
                    None => none += 1,
                }
            }
        }
    }
    assert!(exact > 100 && other > 100 && none > 100 && bounded > 100, "{exact} {other} {none} {bounded}");
}

/// The second group is looked at when the first has nothing that is long enough, and not before.
#[test]
#[cfg_attr(miri, ignore)]
fn the_first_group_that_has_a_place_serves() {
    let granules = 3 * GROUP * 64;
    let block = Block::new(granules);
    let flat = block.flat();
    flat.take(&Spot { hole: 0, length: granules, at: 0 }, granules);
    // One hole in each group, each longer than the one before.
    let holes = [(100, 20), (GROUP * 64 + 6400, 300), (2 * GROUP * 64 + 64 * 9, 5000)];
    for (at, length) in holes {
        flat.set(at + length, What::Live);
        flat.give(at, at + length, None);
    }
    assert!(flat.consistent());
    for (count, hole) in [(1, 0), (19, 0), (20, 0), (21, 1), (127, 1), (128, 1), (300, 1), (301, 2), (5000, 2)] {
        for quick in [false, true] {
            assert_eq!(flat.find(count, 1, quick, usize::MAX).map(|spot| spot.hole), Some(holes[hole].0), "{count}");
        }
    }
    assert_eq!(flat.find(5001, 1, false, usize::MAX), None);
}

/// From 128 granules on a code stands for several lengths: the shortest of the first four words serves.
#[test]
#[cfg_attr(miri, ignore)]
fn lengths_without_a_code_of_their_own_are_not_searched_for_further_than_others() {
    for (count, further) in [(100, true), (127, true), (128, false), (140, false)] {
        let granules = 64 * 512;
        let block = Block::new(granules);
        let flat = block.flat();
        flat.take(&Spot { hole: 0, length: granules, at: 0 }, granules);
        // Twenty holes that are a little too long, then one of just that length.
        for number in 1..=21 {
            let (at, length) = (number * 640, if number == 21 { count } else { count + 3 });
            flat.set(at + length, What::Live);
            flat.give(at, at + length, None);
        }
        let hole = if further { 21 * 640 } else { 640 };
        assert_eq!(flat.find(count, 1, false, usize::MAX).map(|spot| spot.hole), Some(hole), "{count} granules");
    }
}

#[test]
fn a_byte_that_a_wild_write_has_changed_leads_to_no_place_outside_the_block() {
    for granules in [64, 256, 1024] {
        let block = Block::new(granules);
        let flat = block.flat();
        flat.init();
        flat.take(&Spot { hole: 0, length: granules, at: 0 }, granules - 5);
        let (last, shift) = (flat.0.eight((granules - 1) / 512), (granules / 64 - 1) % 8 * 8);
        last.set(last.get() & !(0xff << shift) | 100 << shift);
        for count in [6, 50, 90, 100] {
            assert_eq!(flat.find(count, 1, false, usize::MAX), None, "{count} of {granules} granules");
        }
        assert_eq!(flat.find(5, 1, false, usize::MAX).map(|spot| spot.at), Some(granules - 5));
    }
}

#[test]
fn one_to_four_pieces_fill_a_hole() {
    for count in 1..40 {
        for length in 0..200 {
            assert_eq!(divides(count, length), (1..=4).any(|times| times * count == length), "{length} by {count}");
        }
    }
}
