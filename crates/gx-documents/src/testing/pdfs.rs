//! PDFs for tests, written by hand.

/// What a PDF for a test has.
#[derive(Clone, Debug)]
pub struct PdfText {
    /// Number of pages.
    pub pages: usize,
    /// Entries of the catalogue, such as `/OpenAction 99 0 R`.
    pub catalogue: String,
    /// Further objects: a number and the text between `obj` and `endobj`.
    pub objects: Vec<(usize, String)>,
    /// Entries of the trailer, such as `/Encrypt 98 0 R`.
    pub trailer: String,
}

impl Default for PdfText {
    fn default() -> Self {
        Self { pages: 1, catalogue: String::new(), objects: Vec::new(), trailer: String::new() }
    }
}

/// Returns a PDF with a dark rectangle and a line of text on each page.
pub fn pdf(text: &PdfText) -> Vec<u8> {
    let first_page = 4;
    let kids: Vec<String> =
        (0..text.pages).map(|page| format!("{} 0 R", first_page + 2 * page)).collect();
    let mut objects = vec![
        (1, format!("<< /Type /Catalog /Pages 2 0 R {} >>", text.catalogue)),
        (2, format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), text.pages)),
        (3, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned()),
    ];
    for page in 0..text.pages {
        let (number, content) = (first_page + 2 * page, first_page + 2 * page + 1);
        objects.push((
            number,
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] /Contents {content} 0 R \
                 /Resources << /Font << /F1 3 0 R >> >> >>"
            ),
        ));
        let drawing = format!(
            "0.2 0.2 0.4 rg 60 80 180 100 re f BT /F1 24 Tf 60 320 Td (Page {}) Tj ET",
            page + 1
        );
        let stream = format!("<< /Length {} >>\nstream\n{drawing}\nendstream", drawing.len());
        objects.push((content, stream));
    }
    objects.extend(text.objects.iter().cloned());
    objects.sort();
    written(&objects, &text.trailer)
}

fn written(objects: &[(usize, String)], trailer: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let size = objects.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
    let mut places = vec![None; size];
    for (number, text) in objects {
        places[*number] = Some(file.len());
        file.extend(format!("{number} 0 obj\n{text}\nendobj\n").into_bytes());
    }
    let start = file.len();
    file.extend(format!("xref\n0 {size}\n").into_bytes());
    for place in places {
        let line = match place {
            Some(at) => format!("{at:010} 00000 n \n"),
            None => "0000000000 65535 f \n".to_owned(),
        };
        file.extend(line.into_bytes());
    }
    let end =
        format!("trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n");
    file.extend(end.into_bytes());
    file
}
