#include "metrics.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace notes {

namespace {

constexpr std::array<std::string_view, 4> kind_names{"get", "put", "delete", "list"};

void describe(std::string& text, std::string_view name, std::string_view type,
              std::string_view help) {
    text.append("# HELP ").append(name).append(" ").append(help).append("\n");
    text.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void add_value(std::string& text, std::string_view name, std::uint64_t value) {
    text.append(name).append(" ").append(std::to_string(value)).append("\n");
}

void add_single(std::string& text, std::string_view name, std::string_view type,
                std::string_view help, const std::atomic<std::uint64_t>& value) {
    describe(text, name, type, help);
    add_value(text, name, value.load(std::memory_order_relaxed));
}

// Node names are printable ASCII: only two of those have to be escaped in a label.
std::string label_of(std::string_view value) {
    std::string escaped;
    for (const char each : value) {
        if (each == '\\' || each == '"') { escaped += '\\'; }
        escaped += each;
    }
    return escaped;
}

}  // namespace

void request_counters::count(request_kind kind, heph::http::status answered) noexcept {
    const auto hundreds = static_cast<std::size_t>(answered) / 100;
    counts_[static_cast<std::size_t>(kind)][std::clamp<std::size_t>(hundreds, 1, 5) - 1].fetch_add(
        1, std::memory_order_relaxed);
}

std::uint64_t request_counters::answers(request_kind kind, std::size_t hundreds) const noexcept {
    return counts_[static_cast<std::size_t>(kind)][hundreds - 1].load(std::memory_order_relaxed);
}

heph::task<heph::http::response> counted(std::shared_ptr<request_counters> counters,
                                         request_kind kind,
                                         heph::task<heph::http::response> answering) {
    try {
        auto answer = co_await answering;
        counters->count(kind, answer.status());
        co_return answer;
    } catch (...) {
        counters->count(kind, heph::http::status::internal_server_error);
        throw;
    }
}

std::string metrics_text(const request_counters& requests, const store_health& store,
                         const std::vector<heph::remote::peer_status>& peers,
                         const std::vector<std::string>& places) {
    std::string text;
    describe(text, "notes_requests_total", "counter",
             "Answers to requests for notes, by the first digit of the status.");
    for (std::size_t kind = 0; kind < kind_names.size(); ++kind) {
        for (std::size_t hundreds = 2; hundreds <= 5; ++hundreds) {
            if (hundreds == 3) { continue; }  // There are none.
            const std::string name = "notes_requests_total{request=\"" +
                                     std::string(kind_names[kind]) + "\",status=\"" +
                                     std::to_string(hundreds) + "xx\"}";
            add_value(text, name, requests.answers(static_cast<request_kind>(kind), hundreds));
        }
    }
    add_single(text, "notes_kept", "gauge", "Notes that this node keeps.", store.notes);
    add_single(text, "notes_kept_bytes", "gauge", "Bytes of their ids, types and contents.",
               store.bytes);
    add_single(text, "notes_changes_total", "counter", "Changes that were written to the disk.",
               store.changes);
    add_single(text, "notes_flushes_total", "counter",
               "Groups of changes, each of which was flushed to the disk at once.", store.groups);
    describe(text, "notes_store_failed", "gauge",
             "1 when the disk failed, and changes are refused.");
    add_value(text, "notes_store_failed", store.has_failed.load(std::memory_order_relaxed) ? 1 : 0);
    if (!peers.empty()) {
        describe(text, "notes_peer_linked", "gauge", "1 while a connection to the node is up.");
    }
    for (const auto& peer : peers) {
        add_value(text, "notes_peer_linked{node=\"" + label_of(peer.name) + "\"}",
                  peer.linked ? 1 : 0);
    }
    if (!places.empty()) {
        describe(text, "notes_shard_at", "gauge",
                 "1 at the node that has the shard, as far as this one knows.");
    }
    for (std::size_t number = 0; number < places.size(); ++number) {
        if (places[number].empty()) { continue; }
        add_value(text,
                  "notes_shard_at{shard=\"" + std::to_string(number) + "\",node=\"" +
                      label_of(places[number]) + "\"}",
                  1);
    }
    return text;
}

}  // namespace notes
