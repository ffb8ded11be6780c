//! Backups come back whole or not at all.

use super::*;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// Tag, name, value.
type Plain = (u8, Vec<u8>, Vec<u8>);

fn pass(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn items() -> Vec<Plain> {
    vec![
        (1, b"name".to_vec(), b"the secret".to_vec()),
        (2, Vec::new(), Vec::new()),
        (3, vec![7; 33], vec![8; 150_000]),
        (4, vec![9; CHUNK], vec![1; CHUNK - 20]),
    ]
}

fn write(items: &[Plain]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &pass("phrase"), CHEAP).unwrap();
    for (tag, name, value) in items {
        writer.item(*tag, name, value).unwrap();
    }
    let (bytes, written) = writer.finish().unwrap();
    assert_eq!(bytes.len() as u64, written);
    bytes
}

fn read(bytes: &[u8], phrase: &str) -> Result<Vec<Plain>, HostError> {
    let mut reader = Reader::new(bytes, Path::new("file"), &pass(phrase))?;
    let mut found = Vec::new();
    while let Some(item) = reader.next_item()? {
        found.push((item.tag, item.name, item.value.to_vec()));
    }
    Ok(found)
}

/// Where each chunk begins, and where the file ends.
fn borders(bytes: &[u8]) -> Vec<usize> {
    let mut borders = vec![HEADER];
    while let Some(at) = borders.last().copied().filter(|at| *at < bytes.len()) {
        borders.push(at + 4 + u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize);
    }
    borders
}

#[test]
fn what_was_written_comes_back_and_cannot_be_read() {
    let bytes = write(&items());
    assert_eq!(read(&bytes, "phrase").unwrap(), items());
    assert!(!bytes.windows(10).any(|part| part == b"the secret"));
    assert!(borders(&bytes).len() > 4, "several chunks");
    assert_eq!(read(&write(&[]), "phrase").unwrap(), []);
    // The end falls on the border of a chunk.
    for length in [CHUNK - 9, CHUNK - 10, CHUNK - 8, 2 * CHUNK - 9] {
        let items = [(5, Vec::new(), vec![3; length])];
        assert_eq!(read(&write(&items), "phrase").unwrap(), items, "{length}");
    }
}

#[test]
fn the_wrong_passphrase_is_told_at_once() {
    let bytes = write(&items());
    let error = read(&bytes, "other").unwrap_err();
    assert_eq!(error, HostError::BackupLocked);
    assert!(error.to_string().contains("passphrase"), "{error}");
}

#[test]
fn a_file_that_was_cut_short_is_refused_wherever_the_cut_is() {
    let bytes = write(&items());
    let borders = borders(&bytes);
    let cuts = borders.iter().flat_map(|at| [at.saturating_sub(1), *at, at + 1, at + 5]);
    for cut in cuts.filter(|cut| *cut < bytes.len()) {
        let expected = if cut < HEADER { "backup_foreign" } else { "backup_cut" };
        assert_eq!(
            read(&bytes[..cut], "phrase").unwrap_err().code(),
            expected,
            "cut at {cut} of {}",
            bytes.len()
        );
    }
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let bytes = write(&items());
    for at in (0..bytes.len()).filter(|at| *at < HEADER + 40 || at % 997 == 0) {
        // Another cost takes longer and is tried apart.
        if (8..20).contains(&at) {
            continue;
        }
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(read(&bad, "phrase").is_err(), "byte {at}");
    }
    let mut dear = bytes.clone();
    dear[8] = 0xff;
    assert_eq!(read(&dear, "phrase").unwrap_err(), HostError::BackupLocked);
}

#[test]
fn chunks_cannot_be_left_out_repeated_swapped_or_added() {
    let bytes = write(&items());
    let borders = borders(&bytes);
    let chunk = |at: usize| &bytes[borders[at]..borders[at + 1]];
    let build = |order: &[usize]| {
        let mut file = bytes[..HEADER].to_vec();
        order.iter().for_each(|at| file.extend_from_slice(chunk(*at)));
        file
    };
    let last = borders.len() - 2;
    let all: Vec<usize> = (0..=last).collect();
    assert_eq!(read(&build(&all), "phrase").unwrap(), items());
    let (mut out, mut twice, mut swapped, mut more) = (all.clone(), all.clone(), all.clone(), all.clone());
    out.remove(1);
    twice.insert(1, 1);
    swapped.swap(1, 2);
    more.push(last);
    for wrong in [out, twice, swapped, more] {
        assert_eq!(read(&build(&wrong), "phrase").unwrap_err(), HostError::BackupDamaged, "{wrong:?}");
    }
    let other = write(&[(1, vec![], vec![])]);
    let mixed = [build(&all[..last]), other[HEADER..].to_vec()].concat();
    assert_eq!(read(&mixed, "phrase").unwrap_err(), HostError::BackupDamaged);
}

#[test]
fn what_is_no_backup_and_what_is_too_new_is_told() {
    assert_eq!(read(&[0; 200], "phrase").unwrap_err().code(), "backup_foreign");
    let mut newer = write(&[]);
    newer[7] = 2;
    assert_eq!(read(&newer, "phrase").unwrap_err().code(), "newer_version");
}
