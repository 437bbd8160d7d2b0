//! A whole installation in a virtual machine, by the words of the demo.

use std::process::Command;

use anyhow::{Context, Result};

use super::Figure;
use crate::process::output;
use crate::workspace;

/// Runs the demo with the programs as shipped; its phases.
///
/// # Errors
/// When the demo fails; the error carries what it said.
pub fn measure() -> Result<Vec<Figure>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    command.args(["run", "--quiet", "--release", "-p", "burin-hardware-tests"]);
    command.args(["--bin", "demo", "--", "--release"]);
    let text = output(&mut command).context("running the demo")?;
    figures(&text)
}

/// The figures in what the demo prints at its end.
fn figures(text: &str) -> Result<Vec<Figure>> {
    let mut lines = text.lines().skip_while(|line| *line != "phases:").skip(1);
    let mut figures = Vec::new();
    for line in lines.by_ref() {
        let mut words = line.trim().splitn(3, ' ');
        let (seconds, unit, name) = (words.next(), words.next(), words.next());
        let (Some(Ok(seconds)), Some("s"), Some(name)) = (seconds.map(str::parse), unit, name)
        else {
            let whole = line.strip_suffix(" s").and_then(|it| it.rsplit(' ').next());
            let whole = whole.and_then(|it| it.parse::<f64>().ok());
            let whole = whole.with_context(|| format!("the demo ends with {line:?}"))?;
            figures.push(Figure::reported("demo, power-on to `running`", whole, "s"));
            return Ok(figures);
        };
        let name = format!("demo, phase {}", name.trim());
        figures.push(Figure::reported(&name, Some::<f64>(seconds), "s"));
    }
    anyhow::bail!("the demo printed no phases:\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_and_the_whole_are_read_from_the_demo_s_end() {
        let text = "   12.0 s  active  installing\nphases:\n     3.5 s  build\n   120.1 s  installing\n\
                    demo: host 4D43-BPQZ is running, generation 1, 184 s\n";
        let read = figures(text).unwrap();
        let short: Vec<_> = read
            .iter()
            .map(|it| (it.name.as_str(), it.value.unwrap()))
            .collect();
        let want = [
            ("demo, phase build", 3.5),
            ("demo, phase installing", 120.1),
            ("demo, power-on to `running`", 184.0),
        ];
        assert_eq!(short, want);
        assert!(figures("phases:\n").is_err());
    }
}
