//! candle as a timing server: the protocol is told in ../../peer.py.

use candle_core::{Device, Result, Tensor};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::Instant;

type Work = Box<dyn Fn() -> Result<()>>;

fn rand(shape: &[usize], scale: f64) -> Result<Tensor> {
    Tensor::randn(0f32, 1f32, shape, &Device::Cpu)? * scale
}

fn works() -> Result<BTreeMap<&'static str, Work>> {
    let mut works: BTreeMap<&'static str, Work> = BTreeMap::new();
    let (x3, w) = (rand(&[4, 16, 512], 1.)?, rand(&[512, 512], 0.02)?);
    let (a, b) = (rand(&[512, 8], 0.02)?, rand(&[8, 512], 0.02)?);
    let x = x3.reshape((64, 512))?;

    let lora = |x: Tensor, w: Tensor, a: Tensor, b: Tensor| -> Work {
        Box::new(move || {
            let base = x.broadcast_matmul(&w)?;
            let delta = (x.broadcast_matmul(&a)?.broadcast_matmul(&b)? * 2.0)?;
            (base + delta).map(drop)
        })
    };
    works.insert("lora_fwd_4x16x512_r8", lora(x3, w.clone(), a.clone(), b.clone()));
    works.insert("lora_fwd_64x512_r8", lora(x.clone(), w, a, b));

    let (m1, m2) = (rand(&[1024, 1024], 1.)?, rand(&[1024, 1024], 1.)?);
    works.insert("gemm_1024", Box::new(move || m1.matmul(&m2).map(drop)));

    let z = x.clone();
    works.insert("softmax_64x512", Box::new(move || candle_nn::ops::softmax_last_dim(&z).map(drop)));

    let (gain, residual) = (rand(&[512], 1.)?, rand(&[64, 512], 1.)?);
    works.insert(
        "rmsnorm_residual_64x512",
        Box::new(move || (candle_nn::ops::rms_norm(&x, &gain, 1e-5)? + &residual).map(drop)),
    );

    let (p, q, r) = (rand(&[32768], 1.)?, rand(&[32768], 1.)?, rand(&[32768], 1.)?);
    works.insert(
        "chain6_32k",
        Box::new(move || {
            let inner = (((&p * &q)? + &r)? * 0.5)?;
            ((candle_nn::ops::sigmoid(&inner)? * &p)? - &q).map(drop)
        }),
    );

    let (row, matrix) = (rand(&[1, 2048], 1.)?, rand(&[2048, 2048], 1.)?);
    works.insert("gemv_2048", Box::new(move || row.matmul(&matrix).map(drop)));
    Ok(works)
}

/// Runs are timed in batches of at least this long.
const BATCH_US: f64 = 200.0;

/// Microseconds of one run in the fastest batch within `min_us`, after `warm_us` to
/// wake threads and fill caches: other programs disturb a batch or not.
fn time_runs(run: &Work, min_us: f64, warm_us: f64) -> Result<f64> {
    let warm = Instant::now();
    while warm.elapsed().as_secs_f64() * 1e6 < warm_us {
        run()?;
    }
    let (mut runs, mut best, begin) = (1usize, f64::INFINITY, Instant::now());
    loop {
        let start = Instant::now();
        for _ in 0..runs {
            run()?;
        }
        let us = start.elapsed().as_secs_f64() * 1e6;
        if us < BATCH_US {
            runs = (runs + 1).max((runs as f64 * BATCH_US / us.max(1.0) * 1.2) as usize);
            continue;
        }
        best = best.min(us / runs as f64);
        if begin.elapsed().as_secs_f64() * 1e6 >= min_us {
            return Ok(best);
        }
    }
}

fn answer(works: &BTreeMap<&'static str, Work>, line: &str) -> std::result::Result<f64, String> {
    let request: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let work = request["work"].as_str().ok_or("no work named")?;
    let run = works.get(work).ok_or_else(|| format!("no work {work}"))?;
    let us = |key: &str| request[key].as_f64().ok_or_else(|| format!("{key} is missing"));
    time_runs(run, us("min_us")?, us("warm_us")?).map_err(|e| e.to_string())
}

fn main() -> Result<()> {
    let works = works()?;
    let variants: BTreeMap<_, _> = works.keys().map(|k| (*k, ["eager"])).collect();
    println!("{}", json!({"peer": "candle", "version": "0.11", "works": variants}));
    for line in std::io::stdin().lock().lines() {
        let reply = match answer(&works, &line?) {
            Ok(us) => json!({ "us": us }),
            Err(e) => json!({ "error": e }),
        };
        println!("{reply}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
