//! `layout gc`: blobs of an OCI layout that no image leads to.

use steprun_ports::{Failure, Host, Level, OutputDirectory};

use crate::arguments::missing;

/// Removes them, and says which.
pub(crate) async fn collect_garbage<H: Host>(host: &H) -> Result<(), Failure> {
    let directory = host.output_directories("layout").pop().ok_or_else(|| missing("layout"))?;
    let removed = directory.collect_garbage().await;
    let removed = removed
        .map_err(|error| Failure::because(format!("can't collect the garbage of {}", directory.name()), error))?;
    removed.iter().for_each(|digest| host.log(Level::Info, &format!("garbage collecting: {digest}")));
    Ok(())
}
