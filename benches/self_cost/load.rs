//! The traffic: 100 pairs of provider and model behind 50 endpoints, as a gateway sees it.

/// Requests in a second, over all endpoints.
pub(crate) const RATE: u64 = 1_000;
pub(crate) const PROVIDERS: usize = 10;
pub(crate) const MODELS: usize = 10;
pub(crate) const ENDPOINTS: usize = 50;

/// What goes wrong, in calls of a thousand: 35 in all.
pub(crate) const FAILURES: [Failure; 5] = [
    Failure {
        error: "timeout",
        status: 504,
        per_mille: 10,
    },
    Failure {
        error: "429",
        status: 429,
        per_mille: 11,
    },
    Failure {
        error: "503",
        status: 503,
        per_mille: 6,
    },
    Failure {
        error: "400",
        status: 400,
        per_mille: 5,
    },
    Failure {
        error: "connection_reset",
        status: 502,
        per_mille: 3,
    },
];

/// One way to fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    /// As the attempt's `error.type`.
    pub(crate) error: &'static str,
    /// What the gateway's client gets.
    pub(crate) status: u16,
    pub(crate) per_mille: u64,
}

impl Failure {
    /// Whether a provider's status says it all.
    pub(crate) fn is_status(&self) -> bool {
        self.error.starts_with(|c: char| c.is_ascii_digit())
    }
}

/// Logarithmic normal distributions: share, median in seconds, and spread.
type Mode = (f64, f64, f64);

/// A quick answer, a usual and a long one.
const ANSWERS: [Mode; 3] = [(0.15, 0.06, 0.35), (0.60, 0.45, 0.5), (0.25, 2.0, 0.6)];
const REFUSALS: [Mode; 1] = [(1.0, 0.09, 0.5)];
/// All but at the same moment.
const TIMEOUTS: [Mode; 1] = [(1.0, 30.0, 0.002)];
const FIRST_CHUNKS: [Mode; 1] = [(1.0, 0.25, 0.5)];
const INPUT_TOKENS: [Mode; 1] = [(1.0, 1_200.0, 1.0)];
const OUTPUT_TOKENS: [Mode; 1] = [(1.0, 250.0, 0.9)];
const REQUEST_BYTES: [Mode; 1] = [(1.0, 5_000.0, 1.0)];
const RESPONSE_BYTES: [Mode; 1] = [(1.0, 2_500.0, 0.9)];

/// How a number is distributed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Law {
    modes: &'static [Mode],
    factor: f64,
}

impl Law {
    const fn of(modes: &'static [Mode], factor: f64) -> Self {
        Self { modes, factor }
    }

    pub(crate) const fn input_tokens() -> Self {
        Self::of(&INPUT_TOKENS, 1.0)
    }

    pub(crate) const fn output_tokens() -> Self {
        Self::of(&OUTPUT_TOKENS, 1.0)
    }

    pub(crate) const fn request_bytes() -> Self {
        Self::of(&REQUEST_BYTES, 1.0)
    }

    pub(crate) const fn response_bytes() -> Self {
        Self::of(&RESPONSE_BYTES, 1.0)
    }

    /// The share of values up to `x`.
    pub(crate) fn up_to(&self, x: f64) -> f64 {
        let share = |(weight, median, spread): &Mode| {
            weight * normal((x / (median * self.factor)).ln() / spread)
        };
        self.modes.iter().map(share).sum()
    }

    pub(crate) fn draw(&self, dice: &mut Dice) -> f64 {
        let mut left = dice.unit();
        let fits = |(weight, ..): &&Mode| {
            left -= weight;
            left < 0.0
        };
        let mode = self.modes.iter().find(fits).or(self.modes.last());
        let (_, median, spread) = *mode.unwrap_or(&(1.0, 1.0, 0.0));
        median * self.factor * (spread * dice.normal()).exp()
    }
}

/// One provider and model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
    /// How slow it is.
    factor: f64,
}

impl Pair {
    /// The duration of a call that ends so.
    pub(crate) fn duration(&self, failure: Option<&Failure>) -> Law {
        match failure {
            None => Law::of(&ANSWERS, self.factor),
            Some(failure) if failure.error == "timeout" => Law::of(&TIMEOUTS, 1.0),
            Some(_) => Law::of(&REFUSALS, self.factor),
        }
    }

    pub(crate) fn first_chunk(&self) -> Law {
        Law::of(&FIRST_CHUNKS, self.factor)
    }

    /// In USD.
    pub(crate) fn cost(input: f64, output: f64) -> f64 {
        (input * 600.0 + output * 2_400.0).round() / 1e9
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) pairs: Vec<Pair>,
    /// Path and method.
    pub(crate) endpoints: Vec<(&'static str, &'static str)>,
}

impl Load {
    pub(crate) fn new() -> Self {
        let text = |text: String| -> &'static str { text.leak() };
        let pairs = (0..PROVIDERS).flat_map(|p| {
            let provider = text(format!("provider-{p}"));
            (0..MODELS).map(move |m| Pair {
                provider,
                model: text(format!("model-{p}-{m}-instruct")),
                factor: 0.5 + ((p * 7 + m * 3) % 10) as f64 * 0.17,
            })
        });
        let endpoints = (0..ENDPOINTS).map(|e| {
            let method = if e % 5 == 4 { "GET" } else { "POST" };
            (text(format!("/v1/tenants/{{tenant}}/route-{e}")), method)
        });
        Self {
            pairs: pairs.collect(),
            endpoints: endpoints.collect(),
        }
    }
}

/// Numbers that look random and are the same on every run.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of mean 0 and variance 1, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// How often something happens that happens `mean` times on average.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let end = (-mean).exp();
        let (mut count, mut product) = (0, self.unit());
        while product > end {
            count += 1;
            product *= self.unit();
        }
        count
    }
}

/// The normal distribution function, to seven digits (Abramowitz and Stegun 7.1.26).
fn normal(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ];
    let poly = series.iter().fold(0.0, |sum, c| (sum + c) * t);
    let upper = 0.5 * poly * (-z * z).exp();
    if x > 0.0 { 1.0 - upper } else { upper }
}
