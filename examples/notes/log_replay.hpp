#pragma once

// From a log into memory.

#include "data_dir.hpp"
#include "note_log.hpp"
#include "note_table.hpp"

namespace notes {

/// Makes the change of a record.
void apply(const record& change, note_table& table);

/// Logs what was cut off a log when it was opened, if anything was.
void report_torn_tail(const opened_log& log);

}  // namespace notes
