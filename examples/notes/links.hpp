#pragma once

// The way to the stores of the other nodes.

#include <expected>
#include <string>

#include <heph/core/task.hpp>

#include "messages.hpp"

namespace notes {

/// Asks the stores of other nodes.
///
/// *Thread safety*: safe: the workers of a node share it.
class links {
public:
    /// Makes the links of a node by itself: there is nobody to ask.
    links() = default;
    links(const links&) = delete;
    links& operator=(const links&) = delete;
    ~links() = default;

    /// Asks the store of the node `node`, and waits for its answer, for a bounded time.
    /// *Errors*: one line for the client that says why there is no answer.
    template <typename Call>
    heph::task<std::expected<typename Call::response_type, std::string>> ask(
        std::string node, typename Call::request_type asked);
};

}  // namespace notes
