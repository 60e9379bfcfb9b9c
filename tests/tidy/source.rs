//! Sources, parsed: what a file names, and how long its functions are.
//!
//! Knows: Rust's syntax, what is test code. Does not know: rules.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The tokens of an attribute, as text.
pub(crate) fn quoted(attr: &syn::Attribute) -> String {
    match &attr.meta {
        syn::Meta::Path(path) => path.segments.iter().map(|segment| segment.ident.to_string()).collect(),
        syn::Meta::List(list) => {
            let name: String = list.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            format!("{name}({})", list.tokens)
        }
        syn::Meta::NameValue(_) => String::new(),
    }
}

fn is_test_only(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let text = quoted(attr).replace(' ', "");
        text == "test"
            || text == "cfg(test)"
            || text.starts_with("cfg(any(test")
            || text.starts_with("tokio") && text.ends_with("test")
    })
}

/// One source file, parsed.
pub(crate) struct Source {
    /// Its path from the root of the workspace.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) file: syn::File,
}

impl Source {
    /// Every `.rs` file under these folders, in order of name.
    pub(crate) fn all(folders: &[&str]) -> Vec<Self> {
        let mut paths = BTreeSet::new();
        for folder in folders {
            collect(&root().join(folder), &mut paths);
        }
        paths
            .into_iter()
            .map(|path| {
                let text = fs::read_to_string(&path).expect("a source file can be read");
                let name = path.strip_prefix(root()).expect("under the root").display().to_string();
                let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
                Self { name, text, file }
            })
            .collect()
    }

    /// The module path of the file inside its crate: `src/engine/io.rs` is `engine::io`.
    fn module(&self) -> Vec<String> {
        let inside = self.name.split_once("src/").map_or(self.name.as_str(), |(_, inside)| inside);
        let mut path: Vec<String> =
            inside.trim_end_matches(".rs").split('/').map(ToOwned::to_owned).collect();
        if path.last().is_some_and(|last| last == "mod") {
            path.pop();
        }
        path
    }

    /// The first step of that path: `main` and `lib` are rooms of their own.
    pub(crate) fn room(&self) -> String {
        self.module().into_iter().next().unwrap_or_default()
    }

    /// What the file says outside of its tests; nothing at all if the file is tests.
    pub(crate) fn outside_tests(&self) -> Facts {
        let is_tests = self.module().iter().any(|part| part == "tests" || part.ends_with("_tests"));
        let is_tests = is_tests || is_test_only(&self.file.attrs);
        if is_tests { Facts::default() } else { Facts::of(&self.file, Tests::Skip, self.module()) }
    }

    pub(crate) fn all_code(&self) -> Facts {
        Facts::of(&self.file, Tests::Visit, self.module())
    }

    /// Paths into this crate, from its root, outside of tests: `crate::`, `nearbits::` and `super::` resolved.
    pub(crate) fn crate_names(&self) -> Vec<(Vec<String>, usize)> {
        self.outside_tests().inside
    }
}

fn collect(folder: &Path, into: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.insert(path);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tests {
    Visit,
    Skip,
}

/// What a file names and how long its functions are.
pub(crate) struct Facts {
    tests: Tests,
    /// The module we are in, from the crate's root.
    module: Vec<String>,
    /// Every path as written, with its line.
    pub(crate) paths: Vec<(Vec<String>, usize)>,
    /// Paths that lead into this crate, from its root.
    inside: Vec<(Vec<String>, usize)>,
    pub(crate) functions: Vec<(String, usize, usize)>,
    pub(crate) casts: Vec<usize>,
    pub(crate) async_fns: Vec<usize>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            tests: Tests::Skip,
            module: Vec::new(),
            paths: Vec::new(),
            inside: Vec::new(),
            functions: Vec::new(),
            casts: Vec::new(),
            async_fns: Vec::new(),
        }
    }
}

impl Facts {
    fn of(file: &syn::File, tests: Tests, module: Vec<String>) -> Self {
        let mut facts = Self { tests, module, ..Self::default() };
        facts.visit_file(file);
        facts
    }

    fn name(&mut self, path: Vec<String>, span: Span) {
        let line = span.start().line;
        let ups = path.iter().take_while(|part| *part == "super").count();
        let resolved = match path.first().map(String::as_str) {
            Some("crate" | "nearbits") => Some(path[1..].to_vec()),
            Some("super") if ups <= self.module.len() => {
                let above = &self.module[..self.module.len() - ups];
                Some(above.iter().chain(&path[ups..]).cloned().collect())
            }
            _ => None,
        };
        self.inside.extend(resolved.map(|path| (path, line)));
        self.paths.push((path, line));
    }

    fn walk_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        match tree {
            syn::UseTree::Path(path) => {
                let mut longer = before.to_vec();
                longer.push(path.ident.to_string());
                self.walk_use(&path.tree, &longer);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.walk_use(tree, before)),
            syn::UseTree::Name(name) => self.name([before, &[name.ident.to_string()]].concat(), name.span()),
            syn::UseTree::Rename(name) => {
                self.name([before, &[name.ident.to_string()]].concat(), name.span())
            }
            syn::UseTree::Glob(glob) => self.name(before.to_vec(), glob.span()),
        }
    }

    fn measure(&mut self, signature: &syn::Signature, whole: Span) {
        let (first, last) = (signature.fn_token.span().start().line, whole.end().line);
        self.functions.push((signature.ident.to_string(), first, (last + 1).saturating_sub(first)));
        if signature.asyncness.is_some() {
            self.async_fns.push(first);
        }
    }

    fn is_skipped(&self, attrs: &[syn::Attribute]) -> bool {
        self.tests == Tests::Skip && is_test_only(attrs)
    }
}

impl<'ast> Visit<'ast> for Facts {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !self.is_skipped(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !self.is_skipped(&item.attrs) {
            self.measure(&item.sig, item.span());
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !self.is_skipped(&item.attrs) {
            self.measure(&item.sig, item.span());
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !self.is_skipped(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !self.is_skipped(&item.attrs) {
            self.walk_use(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.name(parts, path.span());
        visit::visit_path(self, path);
    }

    fn visit_expr_cast(&mut self, cast: &'ast syn::ExprCast) {
        self.casts.push(cast.span().start().line);
        visit::visit_expr_cast(self, cast);
    }
}
