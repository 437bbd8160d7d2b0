//! What an installation cost the machine, as the kernel counted it.

use std::fmt;

/// Bytes of a sector in the block layer's statistics, whatever the disk's own sectors are.
/// Source: the kernel's `Documentation/block/stat.rst`.
const SECTOR: u64 = 512;
/// Bytes of a MiB.
const MIB: f64 = (1 << 20) as f64;

/// Figures of one start of the installer, in bytes. Its text is a note among the events, which
/// [`Cost::find`] reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The most memory that the agent's process held at once.
    pub memory: u64,
    /// The most that one of the programs it ran held. Linux counts what the agent held when it
    /// started the program, so this is an upper bound.
    pub programs: u64,
    /// What went to the system partition since the kernel found it.
    pub written: u64,
    /// Content of all files of the release's layers in the store.
    pub content: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB;
        write!(
            out,
            "the installer held at most {:.1} MiB of memory, its programs {:.1} MiB; \
             {:.1} MiB were written to the system partition, which holds {:.1} MiB of content",
            mib(self.memory),
            mib(self.programs),
            mib(self.written),
            mib(self.content)
        )
    }
}

impl Cost {
    /// The newest figures in what a host said, to a tenth of a MiB.
    #[must_use]
    pub fn find(said: &str) -> Option<Self> {
        said.lines().rev().find_map(Self::in_line)
    }

    fn in_line(line: &str) -> Option<Self> {
        let (_, text) = line.split_once("the installer held at most ")?;
        let (memory, text) = text.split_once(" MiB of memory, its programs ")?;
        let (programs, text) = text.split_once(" MiB; ")?;
        let (written, text) = text.split_once(" MiB were written to the system partition, ")?;
        let text = text.strip_prefix("which holds ")?;
        let (content, _) = text.split_once(" MiB of content")?;
        let bytes = |mib: &str| Some((mib.parse::<f64>().ok()? * MIB) as u64);
        Some(Self {
            memory: bytes(memory)?,
            programs: bytes(programs)?,
            written: bytes(written)?,
            content: bytes(content)?,
        })
    }
}

/// `VmHWM` of `/proc/<pid>/status` in bytes: the most memory that the process ever held.
#[must_use]
pub fn peak_memory(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Bytes written, out of `/sys/class/block/<device>/stat`: the seventh number counts sectors.
#[must_use]
pub fn written(stat: &str) -> Option<u64> {
    let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
    sectors.checked_mul(SECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_is_read_back() {
        let cost = Cost {
            memory: 42 << 20,
            programs: 3 << 19,
            written: 500 << 20,
            content: 400 << 20,
        };
        let said = format!(
            "burin: note the installer held at most\nburin: note {cost}\nburin: rebooting\n"
        );
        assert_eq!(Cost::find(&said), Some(cost));
        assert_eq!(Cost::find("burin: rebooting\n"), None);
        assert_eq!(Cost::find(&said.replace("500.0", "many")), None);
    }

    #[test]
    fn the_kernel_s_texts() {
        let status = "Name:\tburin\nVmPeak:\t  200000 kB\nVmHWM:\t   43212 kB\nVmRSS:\t 1 kB\n";
        let stat =
            "     446      128    30212      153     9021     1200  1049216    80231        0\n";
        assert_eq!(peak_memory(status), Some(43212 * 1024));
        assert_eq!(written(stat), Some(1_049_216 * 512));
        for bad in ["", "VmHWM:\n", "VmHWM: 18446744073709551615 kB\n"] {
            assert_eq!(peak_memory(bad), None, "{bad:?}");
        }
        for bad in [
            "",
            "1 2 3 4 5 6",
            "1 2 3 4 5 6 x",
            "1 2 3 4 5 6 18446744073709551615",
        ] {
            assert_eq!(written(bad), None, "{bad:?}");
        }
    }
}
