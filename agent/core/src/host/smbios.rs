//! The few SMBIOS structures that sysfs does not show as text.

/// Bytes of all memory modules: the sum of the memory device structures (type 17) of
/// `/sys/firmware/dmi/tables/DMI`. None when there is none or the table is damaged.
///
/// Source: SMBIOS 3.x, 7.18: `Size` at 0x0C in MiB (bit 15 set: KiB), 0x7FFF means `Extended Size`
/// at 0x1C in MiB, 0xFFFF unknown, 0 an empty slot. `MemTotal` is smaller: firmware and graphics
/// keep some of it.
pub fn installed_memory(table: &[u8]) -> Option<u64> {
    const MIB: u64 = 1024 * 1024;
    let mut total: u64 = 0;
    let mut rest = table;
    // A structure is at least 4 bytes and two zero bytes, so the loop ends with the table.
    while let [kind, length, ..] = *rest {
        let length = usize::from(length);
        if length < 4 || rest.len() < length {
            return None;
        }
        let (body, strings) = rest.split_at(length);
        if kind == 17 {
            let size = u16::from_le_bytes([*body.get(0x0c)?, *body.get(0x0d)?]);
            let bytes = match size {
                0 | 0xffff => 0,
                0x7fff => {
                    let wide: [u8; 4] = body.get(0x1c..0x20)?.try_into().ok()?;
                    u64::from(u32::from_le_bytes(wide) & 0x7fff_ffff) * MIB
                }
                kib if kib & 0x8000 != 0 => u64::from(kib & 0x7fff) * 1024,
                mib => u64::from(mib) * MIB,
            };
            total = total.checked_add(bytes)?;
        }
        if kind == 127 {
            break;
        }
        let end = strings.windows(2).position(|pair| pair == [0, 0])?;
        rest = strings.get(end + 2..)?;
    }
    (total > 0).then_some(total)
}
