//! dkhost's side of every measurement: job files that stay for a look afterwards.

use std::path::{Path, PathBuf};

use super::routes::{Contender, Role};
use super::rows::Input;
use crate::shell::Outcome;

/// A dkhost, a plugin, and a folder for jobs and what they write.
pub struct Jobs {
    folder: PathBuf,
    dkhost: PathBuf,
    plugin: PathBuf,
}

impl Jobs {
    /// `plugin` is the component `clean`.
    pub fn new(folder: PathBuf, dkhost: PathBuf, plugin: PathBuf) -> Jobs {
        Jobs {
            folder,
            dkhost,
            plugin,
        }
    }

    /// Where jobs and their results lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The component `clean`.
    pub fn plugin(&self) -> &Path {
        &self.plugin
    }

    /// The same job without and with the plugin.
    pub fn both(&self, name: &str, from: &Path, to: &str, rows: u64) -> Outcome<Vec<Contender>> {
        let name = format!("{name}-{rows}");
        Ok(vec![
            self.job(&name, from, to, Role::Plain, "")?,
            self.job(&format!("{name}-clean"), from, to, Role::WithPlugin, "")?,
        ])
    }

    /// One job; `settings` are lines of its `[run]` table.
    pub fn job(
        &self,
        name: &str,
        from: &Path,
        to: &str,
        role: Role,
        settings: &str,
    ) -> Outcome<Contender> {
        let to = format!("{name}-{to}");
        let target = match to.ends_with(".db") {
            true => {
                format!("backend = \"sqlite\"\npath = \"{to}\"\ntable = \"rows\"\ncreate = true")
            }
            // A folder takes a file from each partition; its name does not tell the format.
            false if to.ends_with('/') => {
                format!("backend = \"file\"\npath = \"{to}\"\nformat = \"parquet\"")
            }
            false => format!("backend = \"file\"\npath = \"{to}\""),
        };
        let from = format!(
            "backend = \"file\"\npath = {:?}",
            from.display().to_string()
        );
        let target = format!("{target}\non_conflict = \"replace-all\"");
        Ok(Contender {
            name: Jobs::title(role).into(),
            role,
            arguments: self.written(name, &from, &target, role, settings)?,
            output: self.folder.join(to),
        })
    }

    /// Writes a job file of these tables and gives the command line that runs it.
    pub fn written(
        &self,
        name: &str,
        source: &str,
        target: &str,
        role: Role,
        settings: &str,
    ) -> Outcome<Vec<String>> {
        let job = self.folder.join(format!("{name}.toml"));
        let text = format!(
            "name = \"bench-{name}\"\n\n[source]\n{source}\n\n[target]\n{target}\n\n\
             [run]\n{settings}\n\n[state]\nurl = \"sqlite:state.db\"\n",
        );
        std::fs::write(&job, text)
            .map_err(|cause| format!("cannot write {}: {cause}", job.display()))?;
        let mut arguments = vec![
            self.dkhost.display().to_string(),
            "run".into(),
            job.display().to_string(),
            "--quiet".into(),
        ];
        if role == Role::WithPlugin {
            let plugin = format!("clean={}", self.plugin.display());
            arguments.extend(["--plugin".into(), plugin]);
        }
        Ok(arguments)
    }

    /// How the table calls us.
    pub fn title(role: Role) -> &'static str {
        match role {
            Role::WithPlugin => "dkhost with clean.wasm",
            _ => "dkhost",
        }
    }

    /// The rows as Parquet, made from the CSV by dkhost itself unless it is there.
    pub fn parquet(&self, input: &Input) -> Outcome<PathBuf> {
        let path = self.folder.join(format!("rows-{}.parquet", input.rows));
        if !path.exists() {
            let name = format!("make-{}", input.rows);
            let made = self.job(&name, &input.csv, "out.parquet", Role::Plain, "")?;
            made.measure()?;
            std::fs::rename(&made.output, &path)
                .map_err(|cause| format!("cannot keep {}: {cause}", path.display()))?;
        }
        Ok(path)
    }
}
