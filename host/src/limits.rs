//! What a component may take of memory and handles.

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;

/// Elements that all tables of a component may have together: function pointers, about one for each indirect function.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;
/// Handles that a component may hold at once.
const MAX_HANDLES: usize = 1 << 20;
/// Bytes that one call may hand over.
pub const MAX_CALL_BYTES: usize = 512 << 20;

/// Limits of one component. Growing beyond them ends the component: an allocation that merely failed would look like a crash.
#[derive(Debug)]
pub struct Limits {
    max_memory: u64,
    memory: u64,
    tables: usize,
    exceeded: Option<String>,
}

impl Limits {
    /// Limits with this much linear memory, in bytes, for all memories together.
    pub fn new(max_memory: u64) -> Self {
        Self { max_memory, memory: 0, tables: 0, exceeded: None }
    }

    /// Sets another limit of memory, in bytes.
    ///
    /// # Errors
    /// If the component has more already.
    pub fn set(&mut self, max_memory: u64) -> wasmtime::Result<()> {
        self.max_memory = max_memory;
        self.check(self.memory)
    }

    fn check(&mut self, memory: u64) -> wasmtime::Result<()> {
        if memory <= self.max_memory {
            return Ok(());
        }
        let limit = self.max_memory;
        let message = format!("it wants {memory} bytes of memory and may have {limit} (`--max-memory`)");
        self.exceeded = Some(message.clone());
        Err(wasmtime::Error::msg(message))
    }

    /// Which limit was hit.
    pub fn exceeded(&self) -> Option<&str> {
        self.exceeded.as_deref()
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add((desired - current) as u64);
        self.check(total)?;
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.tables.saturating_add(desired - current);
        if total > MAX_TABLE_ELEMENTS {
            let message = format!("it wants {total} table elements and may have {MAX_TABLE_ELEMENTS}");
            self.exceeded = Some(message.clone());
            return Err(wasmtime::Error::msg(message));
        }
        self.tables = total;
        Ok(true)
    }
}

/// A table of handles with a limit.
pub fn handles() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_HANDLES);
    table
}
