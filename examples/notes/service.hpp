#pragma once

// A node of the service, from its start to its orderly stop.

#include <expected>
#include <optional>

#include <heph/rt/tls/secret.hpp>

#include "data_dir.hpp"
#include "exit_status.hpp"
#include "note_table.hpp"
#include "options.hpp"
#include "placement.hpp"

namespace notes {

/// Is what a node has that keeps notes of its own.
struct kept_notes {
    data_dir directory;  ///< Locked until the last write is done.
    placement nodes;
    note_table table;
    opened_log log;
};

/// Is what a node needs before it can serve.
struct service_parts {
    options settings;
    std::optional<kept_notes> own;                ///< Nothing in a cluster, which has shards.
    std::optional<heph::rt::tls::secret> secret;  ///< There when other nodes are.
};

/// Serves until SIGINT, SIGTERM or SIGQUIT, and then stops in order: requests that are under way
/// are answered first. Prints where it listens. Blocks the thread.
/// *Errors*: io_uring is refused, or an address cannot be had.
[[nodiscard]] std::expected<void, refusal> run_service(service_parts parts);

}  // namespace notes
