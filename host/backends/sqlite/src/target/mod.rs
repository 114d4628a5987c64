//! x
use dkhost_core::*;
pub(crate) fn open(_o: Options, _p: &OpenTarget) -> Result<Box<dyn Sink>> {
    Err(Error::bug("x"))
}
