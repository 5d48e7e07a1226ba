#pragma once

// What the command line says.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace notes {

/// Is another node: its name, and where it listens.
struct peer {
    std::string name;
    std::string address;
};

/// Holds the checked settings.
struct options {
    std::string http = "127.0.0.1:8080";
    std::string node = "a";
    std::string listen;  ///< Empty: one node by itself.
    std::vector<peer> peers;
    std::vector<std::string> etcd;  ///< Where it is; empty: the nodes are those of `peers`.
    std::uint32_t shards = 16;      ///< In a cluster on etcd.
    std::chrono::seconds lease{5};  ///< Of a node that fell silent, there.
    std::string secret_file;
    std::string data = "notes-data";
    std::size_t threads = 1;
};

/// Says how to end without serving.
struct early_exit {
    int status = 0;
    std::string text;  ///< For standard output when the status is 0, else one line for the error.
};

/// Reads the command line.
[[nodiscard]] std::expected<options, early_exit> parse_options(int argc, const char* const* argv);

}  // namespace notes
