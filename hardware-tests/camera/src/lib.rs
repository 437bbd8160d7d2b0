//! A camera that somebody holds before a screen: a pinhole, a lens out of focus, a sensor that has
//! too much or too little light and adds noise. What a screen's own dots and the sensor's do to each
//! other is left out, and so are the many frames of which a phone needs one.

use std::f64::consts::TAU;
use std::ops::RangeInclusive;

use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Pixels of the frame: what Android hands to a program that asks for no other size (CameraX,
/// `ImageAnalysis`).
const FRAME: (usize, usize) = (640, 480);
/// Distance of the lens from the frame in pixels: 60 degrees of view.
const FOCUS: f64 = 554.0;
/// A screen's and a camera's exponent between light and number.
const GAMMA: f64 = 2.2;
/// Points on a side of a pixel at which it looks.
const POINTS: usize = 2;

/// A screen with a code on it.
#[derive(Debug, Clone)]
pub struct Screen {
    /// Brightness of each dot as the screen is given it, row by row.
    pub dots: Vec<u8>,
    /// Dots in a row.
    pub width: usize,
    /// The code's left upper corner, in dots; its quiet zone counts.
    pub corner: (usize, usize),
    /// Modules on a side of the code, its quiet zone counted.
    pub side: usize,
    /// Dots on a side of a module.
    pub module: usize,
}

impl Screen {
    /// The brightness of a point, in modules from the code's middle. Around the screen it is dark.
    fn at(&self, u: f64, v: f64) -> u8 {
        let (half, module) = (self.side as f64 / 2.0, self.module as f64);
        let x = (u + half) * module + self.corner.0 as f64;
        let y = (v + half) * module + self.corner.1 as f64;
        if x < 0.0 || y < 0.0 || x >= self.width as f64 {
            return 0;
        }
        let dot = self.dots.get(y as usize * self.width + x as usize);
        dot.copied().unwrap_or_default()
    }
}

/// The ranges from which a shot draws, each evenly.
#[derive(Debug, Clone)]
pub struct Hand {
    /// Degrees between the screen and the frame, in any direction.
    pub tilt: RangeInclusive<f64>,
    /// Degrees around the line of sight, to either side.
    pub roll: f64,
    /// Part of the frame's height that the code takes, its quiet zone counted, were it not tilted.
    pub fill: RangeInclusive<f64>,
    /// Standard deviation of the blur, in modules.
    pub blur: RangeInclusive<f64>,
    /// Width of a dot in heights: text mode is stretched to the shape of the monitor.
    pub stretch: RangeInclusive<f64>,
    /// How much light white brings: more than 1 is too much for the sensor.
    pub exposure: RangeInclusive<f64>,
    /// Light that black brings, by what the glass reflects.
    pub glare: RangeInclusive<f64>,
    /// Standard deviation of the noise, of 255.
    pub noise: f64,
}

/// One shot: what was drawn of the ranges of a hand.
struct Shot {
    /// Columns: the screen's right, its down and its depth, seen by the camera.
    axes: [[f64; 3]; 3],
    /// Of the code's middle, in modules.
    place: [f64; 3],
    stretch: f64,
    /// In pixels.
    blur: f64,
    exposure: f64,
    glare: f64,
}

/// The frame, 640 by 480 pixels of grey in PGM, of shot number `seed`: the same for the same seed.
pub fn shoot(screen: &Screen, hand: &Hand, seed: u32) -> Vec<u8> {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let mut chance = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let shot = Shot::draw(hand, screen, &mut chance);
    let (width, height) = FRAME;
    let lights: [f64; 256] = std::array::from_fn(|level| (level as f64 / 255.0).powf(GAMMA));
    let sharp: Vec<f64> = (0..width * height)
        .map(|at| shot.light(screen, &lights, at % width, at / width))
        .collect();
    let weights = bell(shot.blur);
    let half = smeared(&sharp, &weights, width, 1);
    let light = smeared(&half, &weights, height, width);
    let mut picture = format!("P5\n{width} {height}\n255\n").into_bytes();
    picture.extend(light.iter().map(|light| {
        let seen = light * shot.exposure + shot.glare;
        let noise = normal(&mut chance) * hand.noise;
        // The cast ends at 0 and 255, as the sensor does.
        (seen.min(1.0).powf(1.0 / GAMMA) * 255.0 + noise) as u8
    }));
    picture
}

impl Shot {
    fn draw(hand: &Hand, screen: &Screen, chance: &mut TestRng) -> Self {
        let tilt = chance.random_range(hand.tilt.clone()).to_radians();
        let around = chance.random_range(0.0..TAU);
        let roll = chance.random_range(-hand.roll..=hand.roll).to_radians();
        let fill = chance.random_range(hand.fill.clone());
        let side = screen.side as f64;
        let distance = FOCUS * side / (fill * FRAME.1 as f64);
        // The code's middle is not quite the picture's.
        let mut aside = || chance.random_range(-0.05..=0.05) * side;
        let place = [aside(), aside(), distance];
        Self {
            axes: turned(tilt, around, roll),
            place,
            stretch: chance.random_range(hand.stretch.clone()),
            blur: chance.random_range(hand.blur.clone()) * FOCUS / distance,
            exposure: chance.random_range(hand.exposure.clone()),
            glare: chance.random_range(hand.glare.clone()),
        }
    }

    /// The light that falls on a pixel.
    fn light(&self, screen: &Screen, lights: &[f64; 256], x: usize, y: usize) -> f64 {
        let part = |at: usize| (at as f64 + 0.5) / POINTS as f64;
        let mut sum = 0.0;
        for at in 0..POINTS * POINTS {
            let right = x as f64 + part(at % POINTS) - FRAME.0 as f64 / 2.0;
            let down = y as f64 + part(at / POINTS) - FRAME.1 as f64 / 2.0;
            let [u, v] = self.met([right / FOCUS, down / FOCUS, 1.0]);
            sum += lights[usize::from(screen.at(u / self.stretch, v))];
        }
        sum / (POINTS * POINTS) as f64
    }

    /// Where a ray from the lens meets the screen, in modules from the code's middle.
    fn met(&self, ray: [f64; 3]) -> [f64; 2] {
        let [right, down, deep] = self.axes;
        let far = dot(self.place, deep) / dot(ray, deep);
        [right, down].map(|axis| far * dot(ray, axis) - dot(self.place, axis))
    }
}

/// The screen's axes after it was tilted by `tilt` about the axis at `around` in its plane, and then
/// turned by `roll`.
fn turned(tilt: f64, around: f64, roll: f64) -> [[f64; 3]; 3] {
    let (sin, cos) = tilt.sin_cos();
    let (y, x) = around.sin_cos();
    let rest = 1.0 - cos;
    let tilted = [
        [cos + x * x * rest, x * y * rest, -y * sin],
        [x * y * rest, cos + y * y * rest, x * sin],
        [y * sin, -x * sin, cos],
    ];
    let (sin, cos) = roll.sin_cos();
    tilted.map(|[x, y, z]| [x * cos - y * sin, x * sin + y * cos, z])
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The weights of a Gaussian blur, from the middle to one side.
fn bell(deviation: f64) -> Vec<f64> {
    let reach = (3.0 * deviation).ceil() as usize;
    let weight = |at: usize| (-0.5 * (at as f64 / deviation).powi(2)).exp();
    let whole = 2.0 * (0..=reach).map(weight).sum::<f64>() - 1.0;
    (0..=reach).map(|at| weight(at) / whole).collect()
}

/// Blurred along one direction, in which a line has `length` pixels that lie `step` apart. Beyond an
/// edge it is as light as at the edge.
fn smeared(light: &[f64], weights: &[f64], length: usize, step: usize) -> Vec<f64> {
    let one = |at: usize| {
        let place = at / step % length;
        let before = |n: usize| light[at - n.min(place) * step];
        let after = |n: usize| light[at + n.min(length - 1 - place) * step];
        let sides = weights.iter().enumerate().skip(1);
        let sides = sides.map(|(n, weight)| weight * (before(n) + after(n)));
        weights[0] * light[at] + sides.sum::<f64>()
    };
    (0..light.len()).map(one).collect()
}

/// About a normal distribution: three even ones, whose variances sum to 1.
fn normal(chance: &mut TestRng) -> f64 {
    (0..3).map(|_| chance.random_range(-1.0..1.0)).sum()
}
