//! Lists and tables of files.

use super::*;

fn read_list(text: &str) -> Result<Vec<(String, String)>, String> {
    told(list(text, "l"))
}

fn read_table(text: &str) -> Result<Vec<(String, String)>, String> {
    told(table(text, "t"))
}

fn told(files: Result<Vec<Named>, Stop>) -> Result<Vec<(String, String)>, String> {
    let pair = |named: Named| {
        let digests: Vec<String> = named.file.digests.iter().map(ToString::to_string).collect();
        (format!("{} {}", named.file.url, digests.join(" ")).trim().to_owned(), named.file.destination)
    };
    let files = files.map_err(|stop| stop.line)?;
    Ok(files.into_iter().map(pair).map(|(url, path)| (url, path.display().to_string())).collect())
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(url, path)| ((*url).to_owned(), (*path).to_owned())).collect()
}

#[test]
fn cli_3_a_list_has_a_pair_a_line_and_comments() {
    let text =
        "# updates\nhttp://a.test/1 /d/1\n\n  http://a.test/2\t/d/two words  \r\n#http://a.test/3 /d/3\n";
    let wanted = owned(&[("http://a.test/1", "/d/1"), ("http://a.test/2", "/d/two words")]);
    assert_eq!(read_list(text), Ok(wanted));
    let error = read_list("http://a.test/1 /d/1\nhttp://a.test/2\n").expect_err("half a pair");
    assert!(error.starts_with("l:2: "), "{error}");
    let error = read_list("ftp://a.test/1 /d/1").expect_err("no http");
    assert!(error.starts_with("l:1: "), "{error}");
}

#[test]
fn cli_39_a_table_has_columns_that_may_be_named() {
    let digest = "ab".repeat(32);
    let plain = format!("http://a.test/1,/d/1,{digest}\nhttp://a.test/2,\"/d/a, b\"\n");
    let named =
        format!("Digest, Destination ,Source\n{digest},/d/1,http://a.test/1\n,\"/d/a, b\",http://a.test/2\n");
    let first = format!("http://a.test/1 sha256:{digest}");
    let wanted = owned(&[(&first, "/d/1"), ("http://a.test/2", "/d/a, b")]);
    assert_eq!(read_table(&plain), Ok(wanted.clone()));
    assert_eq!(read_table(&format!("\u{feff}{named}")), Ok(wanted));
}

#[test]
fn cli_39_what_is_wrong_with_a_table_is_said_with_its_line() {
    for (text, start) in [
        ("url,path\nhttp://a.test/1\n", "t:2: a URL and a path are needed"),
        ("http://a.test/1,/d/1,abc\n", "t:1: a digest of 3 digits"),
        ("url,path,size\n", "t:1: no column is called \"size\""),
        ("url,path,source\n", "t:1: two columns say the same"),
        ("url,digest\n", "t:1: no column is called path"),
        ("url,path\nnonsense,/d/1\n", "t:2: "),
    ] {
        let error = read_table(text).expect_err("a bad table");
        assert!(error.starts_with(start), "{text:?}: {error}");
    }
}

#[test]
fn a_url_without_its_destination_is_said() {
    let words: Vec<String> = ["http://a.test/1", "/d/1", "http://a.test/2"].map(str::to_owned).to_vec();
    let stop = pairs(&words).err().expect("half a pair");
    assert!(stop.line.ends_with("http://a.test/2"), "{}", stop.line);
}

#[test]
fn cli_32_a_folder_as_a_destination_takes_the_urls_last_part() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!("http://a.test/x/update.msi {}\n", folder.path().display());
    let wanted = folder.path().join("update.msi").display().to_string();
    assert_eq!(read_list(&text).expect("a file")[0].1, wanted);
    assert_eq!(
        read_list("http://a.test/x/update.msi /missing/\n").expect("a file")[0].1,
        "/missing/update.msi"
    );
    let error = read_list(&format!("http://a.test/ {}\n", folder.path().display())).expect_err("no name");
    assert!(error.contains("does not end in a file name"), "{error}");
}
