use super::*;

/// Words as a shell splits them; the pages quote nothing.
fn commands(page: &str) -> Vec<Vec<&str>> {
    page.split("```sh\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .filter(|line| line.starts_with("burin-hub "))
        .filter_map(|line| line.split(" > ").next())
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn every_command_of_the_pages_is_understood() {
    let pages = [
        include_str!("../../../docs/operations.md"),
        include_str!("../../../docs/releases.md"),
    ];
    let commands: Vec<_> = pages.into_iter().flat_map(commands).collect();
    assert!(commands.len() > 20, "{}", commands.len());
    for words in commands {
        if let Err(err) = Cli::try_parse_from(&words) {
            panic!("{}: {err}", words.join(" "));
        }
    }
}

#[test]
fn every_example_of_the_help_is_understood() {
    use clap::CommandFactory as _;
    fn check(command: &clap::Command, seen: &mut usize) {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        for line in help
            .lines()
            .filter_map(|line| line.split_once("burin-hub "))
        {
            let line = line.1.split(" > ").next().unwrap_or_default();
            let words = ["burin-hub"].into_iter().chain(line.split_whitespace());
            // A `$(...)` before it is a command of its own, checked where it stands.
            if !line.contains(')') {
                let words: Vec<&str> = words.collect();
                if let Err(err) = Cli::try_parse_from(&words) {
                    panic!("{}: {err}", words.join(" "));
                }
                *seen += 1;
            }
        }
        for child in command.get_subcommands() {
            check(child, seen);
        }
    }
    let mut seen = 0;
    check(&Cli::command(), &mut seen);
    assert!(seen >= 12, "{seen}");
}
