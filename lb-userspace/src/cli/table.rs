//! Padded columns.

/// A colour's number in the terminal's control sequences (ECMA-48, SGR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    paint: Option<Paint>,
}

/// A header and rows of the same length.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.to_string(),
            paint: None,
        }
    }
}

impl Cell {
    pub fn painted(text: impl ToString, paint: Option<Paint>) -> Self {
        Self {
            text: text.to_string(),
            paint,
        }
    }
    /// The text with its colour, if colours are wanted.
    pub fn show(&self, colour: bool) -> String {
        match self.paint {
            Some(paint) if colour => format!("\x1b[{}m{}\x1b[0m", paint as u8, self.text),
            _ => self.text.clone(),
        }
    }
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(Cell::from).collect()],
        }
    }
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.rows[0].len());
        self.rows.push(cells);
    }
    /// Columns two spaces apart, a line break after each row; a last column is not padded.
    pub fn show(&self, colour: bool) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut gap = 0;
            for (cell, width) in row.iter().zip(&widths) {
                // Empty cells at the end leave no spaces behind.
                if !cell.text.is_empty() {
                    text += &" ".repeat(gap);
                    text += &cell.show(colour);
                    gap = 0;
                }
                gap += width + 2 - cell.width();
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let mut table = Table::new(&["A", "LONG", "NOTE"]);
        table.row(vec!["first".into(), "x".into(), "".into()]);
        table.row(vec!["".into(), Cell::painted("down", Some(Paint::Red)), "no".into()]);
        assert_eq!(table.show(false), "A      LONG  NOTE\nfirst  x\n       down  no\n");
        assert!(table.show(true).contains("\x1b[31mdown\x1b[0m  no"));
    }
}
