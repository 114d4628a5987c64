//! Finds the rows that do not even get into the temporary table: texts that the database's
//! encoding cannot spell, values that a type's own input refuses. The batch is sent in halves, each
//! behind a savepoint, until every row that is refused stands alone.

use dkhost_core::{Result, RowReject};

use super::reasons;
use super::stage::{Stage, is_about_a_row};
use crate::copy::Encoder;
use crate::fault::refusal;

/// Sends the rows of the batch that are not refused yet, as COPY does; those the
/// server does not take are put down as refused. The savepoint `merge` is from before the COPY that
/// was refused.
pub(super) fn send(stage: &mut Stage<'_>) -> Result<()> {
    stage.session.run(stage.doing, "ROLLBACK TO merge")?;
    let numbered = super::scan::numbered(stage.records)?;
    let encoder = Encoder::new(&stage.wires());
    // The next piece is the last one here; the first half goes first.
    let mut pieces = halves(0, numbered.num_rows());
    while let Some((start, rows)) = pieces.pop() {
        let skip: Vec<bool> = stage.skipped()[start..start + rows].to_vec();
        if !skip.contains(&false) {
            continue;
        }
        let mut sent = Vec::new();
        // What cannot be said was put down when the whole batch was encoded.
        encoder.encode(&numbered.slice(start, rows), &skip, &mut sent)?;
        stage.session.run(stage.doing, "SAVEPOINT piece")?;
        match stage.copy(sent) {
            Ok(()) => stage.session.run(stage.doing, "RELEASE piece")?,
            Err(error) if !is_about_a_row(&error) => return Err(error),
            Err(error) => {
                stage
                    .session
                    .run(stage.doing, "ROLLBACK TO piece; RELEASE piece")?;
                match (rows, refusal(&error)) {
                    (1, Some(why)) => stage.fates.reject(RowReject {
                        row: start as u32,
                        column: why.column.clone(),
                        code: reasons::code(why).to_owned(),
                        message: why.to_string(),
                    }),
                    (1, None) => return Err(error),
                    _ => pieces.extend(halves(start, rows)),
                }
            }
        }
    }
    Ok(())
}

/// Both halves of so many rows, the second first.
fn halves(start: usize, rows: usize) -> Vec<(usize, usize)> {
    let first = rows / 2;
    [(start + first, rows - first), (start, first)]
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::halves;

    #[test]
    fn halves_are_all_rows_and_the_first_is_next() {
        assert_eq!(halves(4, 5), [(6, 3), (4, 2)]);
        assert_eq!(halves(4, 1), [(4, 1)]);
        assert_eq!(halves(0, 0), []);
    }
}
