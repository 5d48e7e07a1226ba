#pragma once

// Turns a trace of heph-rt into Chrome's trace format: JSON that chrome://tracing and
// ui.perfetto.dev show.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <heph/rt/trace_format.hpp>

namespace heph::tools {

/// Takes the packets of a trace and gives JSON, piece by piece.
///
/// A stream becomes a process, and a substream a thread of it, numbered in the order in which they
/// come: substreams have 64 bits, of which JSON's numbers do not keep all. One that finished is
/// over: its number may come back for another process. Times are microseconds since the trace's
/// epoch, which goes to `otherData`.
///
/// What an actor says of itself goes on while it waits, so it is not within its polls, and becomes
/// an asynchronous event; a thread's other events must not overlap.
class chrome_trace {
public:
    /// Gives what the file begins with.
    [[nodiscard]] std::string begin() const;
    /// Gives what a packet adds.
    [[nodiscard]] std::string add(const rt::trace_packet& packet);
    /// Gives what the file ends with.
    [[nodiscard]] std::string end() const;

private:
    std::uint64_t number_of(std::uint32_t stream, std::uint64_t substream, std::string& names);
    void add_event(std::string& out, std::string_view json);
    void add_polls_and_waits(std::string& out, const rt::trace_event& event, std::uint64_t thread);
    void add_asynchronous(std::string& out, const rt::trace_event& event, std::uint64_t thread);
    void forget_if_finished(const rt::trace_event& event);

    std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> threads_;
    std::map<std::uint32_t, std::uint64_t> threads_of_;  // How many a stream has.
    std::optional<std::chrono::nanoseconds> epoch_;
    bool is_first_ = true;
};

/// Writes a text as a JSON string, with its quotes.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace heph::tools
