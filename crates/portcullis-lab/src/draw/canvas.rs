//! Pixels, and figures with smooth edges on them.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels are small whole numbers, and geometry is done in fractions of them"
)]

use std::f32::consts::{PI, TAU};

use super::letters;

/// Red, green, blue, alpha.
pub(super) type Rgba = [u8; 4];

/// A colour by its English name.
pub(super) fn colour(name: &str) -> Option<Rgba> {
    let [red, green, blue] = match name {
        "red" => [214, 40, 40],
        "orange" => [247, 127, 0],
        "yellow" => [255, 214, 10],
        "gold" | "golden" => [252, 191, 73],
        "green" => [56, 142, 60],
        "cyan" | "turquoise" | "teal" => [0, 180, 200],
        "blue" => [33, 99, 217],
        "purple" | "violet" => [123, 44, 191],
        "pink" => [244, 114, 182],
        "brown" => [141, 91, 54],
        "black" => [17, 17, 17],
        "white" => [250, 250, 250],
        "grey" | "gray" => [128, 128, 128],
        "silver" => [200, 204, 212],
        _ => return None,
    };
    Some([red, green, blue, 255])
}

/// A figure, of radius 1 around the origin, y downwards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Heart,
}

impl Shape {
    /// Its corners. Round ones have many.
    fn corners(self) -> Vec<[f32; 2]> {
        let around = |count: u16, radius: fn(u16) -> f32| {
            (0..count).map(move |n| {
                let angle = TAU * f32::from(n) / f32::from(count) - PI / 2.0;
                [radius(n) * angle.cos(), radius(n) * angle.sin()]
            })
        };
        match self {
            Self::Circle => around(72, |_| 1.0).collect(),
            Self::Square => vec![[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
            Self::Triangle => around(3, |_| 1.0).collect(),
            Self::Star => around(10, |n| if n % 2 == 0 { 1.0 } else { 0.42 }).collect(),
            Self::Heart => (0..64_u16)
                .map(|n| {
                    let t = TAU * f32::from(n) / 64.0;
                    let y = 13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
                    [t.sin().powi(3), -y / 16.0]
                })
                .collect(),
        }
    }
}

/// Pixels.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A colour that turns into another from top to bottom.
    pub(super) fn filled(width: u32, height: u32, top: Rgba, bottom: Rgba) -> Self {
        let (width, height) = (width as usize, height as usize);
        let mut pixels = Vec::with_capacity(width * height * 4);
        for y in 0..height {
            let share = y as f32 / height.max(1) as f32;
            let row: [u8; 4] = std::array::from_fn(|part| {
                (f32::from(top[part]) * (1.0 - share) + f32::from(bottom[part]) * share) as u8
            });
            pixels.extend(row.iter().copied().cycle().take(width * 4));
        }
        Self { width, height, pixels }
    }

    /// A thin frame; those of higher numbers are further inside.
    pub(super) fn frame(&mut self, number: usize, ink: Rgba) {
        let line = (self.width.min(self.height) / 100).max(1);
        let (from, to) = (line * (2 * number + 1), line * (2 * number + 2));
        for y in 0..self.height {
            for x in 0..self.width {
                let edge = x.min(y).min(self.width - 1 - x).min(self.height - 1 - y);
                if (from..to).contains(&edge) {
                    self.blend(x, y, ink, 1.0);
                }
            }
        }
    }

    /// Figures beside each other, above the place of the words.
    pub(super) fn figures(&mut self, figures: &[(Shape, Rgba)]) {
        let step = self.width as f32 / figures.len().max(1) as f32;
        let middle = self.height as f32 * 0.42;
        let radius = (step * 0.4).min(self.height as f32 * 0.36);
        for (at, (shape, ink)) in figures.iter().enumerate() {
            self.figure(*shape, *ink, [step * (at as f32 + 0.5), middle], radius);
        }
    }

    fn figure(&mut self, shape: Shape, ink: Rgba, [cx, cy]: [f32; 2], radius: f32) {
        let corners: Vec<_> =
            shape.corners().into_iter().map(|[x, y]| [cx + x * radius, cy + y * radius]).collect();
        let reach = radius * 1.1 + 2.0;
        let range = |middle: f32, end: usize| {
            (middle - reach).max(0.0) as usize..((middle + reach).max(0.0) as usize).min(end)
        };
        for y in range(cy, self.height) {
            for x in range(cx, self.width) {
                let distance = distance(&corners, [x as f32 + 0.5, y as f32 + 0.5]);
                self.blend(x, y, ink, (0.5 - distance).clamp(0.0, 1.0));
            }
        }
    }

    /// Words in the lower part, in as many lines as fit.
    pub(super) fn caption(&mut self, text: &str) {
        let scale = (self.width.min(self.height * 2) / 220).max(1);
        let per_line = self.width / (scale * letters::ADVANCE);
        if per_line < 4 {
            return;
        }
        let lines = wrapped(text, per_line.saturating_sub(2));
        let line_height = scale * (letters::HEIGHT + 3);
        let mut top = self.height * 4 / 5;
        for line in lines {
            if top + line_height > self.height {
                return;
            }
            let mut left = (self.width - line.chars().count() * letters::ADVANCE * scale) / 2;
            for letter in line.chars() {
                self.letter(letter, left, top, scale);
                left += letters::ADVANCE * scale;
            }
            top += line_height;
        }
    }

    fn letter(&mut self, letter: char, left: usize, top: usize, scale: usize) {
        for (row, bits) in letters::rows(letter).iter().enumerate() {
            for column in (0..letters::WIDTH).filter(|column| bits >> (letters::WIDTH - 1 - column) & 1 == 1)
            {
                for (x, y) in (0..scale).flat_map(|x| (0..scale).map(move |y| (x, y))) {
                    self.blend(left + column * scale + x, top + row * scale + y, [250, 250, 250, 255], 1.0);
                }
            }
        }
    }

    fn blend(&mut self, x: usize, y: usize, ink: Rgba, share: f32) {
        if x >= self.width || y >= self.height || share <= 0.0 {
            return;
        }
        let at = (y * self.width + x) * 4;
        let share = share * f32::from(ink[3]) / 255.0;
        for (part, new) in self.pixels[at..at + 3].iter_mut().zip(ink) {
            *part = (f32::from(*part) * (1.0 - share) + f32::from(new) * share).round() as u8;
        }
        let alpha = &mut self.pixels[at + 3];
        *alpha = (*alpha).max((share * 255.0).round() as u8);
    }

    /// As a PNG.
    pub(super) fn png(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&self.pixels)?;
            writer.finish()
        });
        written.expect("pixels of the header's size can be written into memory");
        out
    }
}

/// How far a point is from the edge of a polygon, negative inside.
fn distance(corners: &[[f32; 2]], [x, y]: [f32; 2]) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    for (at, [ax, ay]) in corners.iter().enumerate() {
        let [bx, by] = corners[(at + 1) % corners.len()];
        let (ex, ey) = (bx - ax, by - ay);
        let along = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
        nearest = nearest.min((x - ax - ex * along).hypot(y - ay - ey * along));
        if (*ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax {
            inside = !inside;
        }
    }
    if inside { -nearest } else { nearest }
}

/// Words in lines of at most so many characters; a longer word is cut.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(most).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}
