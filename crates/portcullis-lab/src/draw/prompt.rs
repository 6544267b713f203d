//! What a prompt asks to be drawn.

use super::canvas::{Rgba, Shape, colour};

/// As many figures as are drawn.
const MOST_FIGURES: usize = 8;
/// As much of a prompt as stands below the picture, in characters.
const LONGEST_CAPTION: usize = 160;

/// What is to be drawn.
pub(super) struct Wish {
    pub(super) figures: Vec<(Shape, Rgba)>,
    pub(super) background: Rgba,
    pub(super) caption: String,
}

/// Reads a prompt: a colour belongs to the next shape, or to the background.
pub(super) fn read(prompt: &str) -> Wish {
    let caption = prompt.split("\n\nSize:").next().unwrap_or(prompt);
    let mut figures = Vec::new();
    let mut background = None;
    let mut held = None;
    for word in caption.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase) {
        if let Some(named) = colour(&word) {
            held = Some(named);
        } else if matches!(word.as_str(), "background" | "sky" | "ground") {
            background = held.take().or(background);
        } else if let Some((shape, usual)) = shape(&word)
            && figures.len() < MOST_FIGURES
        {
            figures.push((shape, held.take().unwrap_or(usual)));
        }
    }
    if figures.is_empty() {
        // Something for every prompt, and not the same for all.
        let hash =
            caption.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let others = ["orange", "purple", "green", "pink", "cyan"];
        let own = held.or_else(|| colour(others[hash as usize % others.len()])).unwrap_or([255; 4]);
        figures.push(([Shape::Circle, Shape::Star, Shape::Heart][hash as usize / 7 % 3], own));
    }
    let background = background.unwrap_or([40, 62, 98, 255]);
    let caption = caption.split_whitespace().collect::<Vec<_>>().join(" ");
    Wish { figures, background, caption: caption.chars().take(LONGEST_CAPTION).collect() }
}

fn shape(word: &str) -> Option<(Shape, Rgba)> {
    let (shape, usual) = match word.strip_suffix('s').unwrap_or(word) {
        "circle" | "ball" | "dot" | "pixel" | "planet" | "apple" => (Shape::Circle, "red"),
        "sun" => (Shape::Circle, "gold"),
        "moon" => (Shape::Circle, "silver"),
        "square" | "box" | "cube" | "house" => (Shape::Square, "brown"),
        "triangle" | "pyramid" | "mountain" | "tree" => (Shape::Triangle, "green"),
        "star" => (Shape::Star, "yellow"),
        "heart" => (Shape::Heart, "red"),
        _ => return None,
    };
    Some((shape, colour(usual)?))
}

/// `WxH`, both from 1 to 8192.
pub(super) fn size_of(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=8192).contains(side));
    Some((side(width)?, side(height)?))
}

/// The last size that stands among the words of a text.
pub(super) fn size_in(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).rev().find_map(size_of)
}
