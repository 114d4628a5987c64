//! What runs leave behind that did not end: objects that do not count, and uploads nobody finishes.

use std::collections::HashSet;

use dkhost_core::Result;

use super::names::{Manifest, Names};
use crate::client::Client;
use crate::{put, source};

/// Removes the objects of a run that `kept` does not name by their keys, and the uploads of them.
pub(crate) fn run(client: &Client, names: &Names, run: &str, kept: &HashSet<String>) -> Result<()> {
    let folder = names.run(run);
    abort(client, &folder)?;
    let found = source::under(client, &folder)?;
    let keys = found.into_iter().map(|listed| listed.key);
    let keys: Vec<String> = keys.filter(|key| !kept.contains(key)).collect();
    put::delete(client, &keys)
}

/// Ends the uploads to keys with a prefix.
///
/// Some servers list uploads by a whole key only, so all of the bucket are listed.
pub(crate) fn abort(client: &Client, prefix: &str) -> Result<()> {
    let (mut key_marker, mut id_marker): (Option<String>, Option<String>) = (None, None);
    loop {
        let request = client
            .sdk()
            .list_multipart_uploads()
            .bucket(client.bucket())
            .set_key_marker(key_marker.take())
            .set_upload_id_marker(id_marker.take());
        let doing = || format!("list unfinished uploads to {}", client.bucket());
        let page = client.ask(doing, request.send())?;
        for upload in page.uploads() {
            let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
                continue;
            };
            if !key.starts_with(prefix) {
                continue;
            }
            let request = client.sdk().abort_multipart_upload();
            let request = request.bucket(client.bucket()).key(key).upload_id(id);
            let doing = || format!("drop an unfinished upload to {}", client.place(key));
            match client.ask(doing, request.send()) {
                Err(error) if !crate::fault::is_upload_lost(&error) => return Err(error),
                _ => {}
            }
        }
        key_marker = page.next_key_marker().map(str::to_owned);
        id_marker = page.next_upload_id_marker().map(str::to_owned);
        if page.is_truncated() != Some(true) || key_marker.is_none() {
            return Ok(());
        }
    }
}

/// Removes a run's objects that its manifest names, and the manifest: nobody reads them any more.
pub(crate) fn replaced(client: &Client, names: &Names, run: &str) -> Result<()> {
    let key = names.manifest(run);
    let Some(found) = put::get(client, &key)? else {
        return Ok(());
    };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&found.bytes) else {
        return Ok(());
    };
    let parts = manifest.parts.into_iter();
    let keys: Vec<String> = parts
        .map(|part| format!("{}{}", names.prefix, part.name))
        .collect();
    put::delete(client, &keys)?;
    // Last: without it nobody would know what else to remove.
    put::delete(client, &[key])
}
