// Keeps notes and serves them over HTTP, on one node or on several linked ones.

#include <cstdio>
#include <exception>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/log.hpp>
#include <heph/rt/tls/secret.hpp>

#include "data_dir.hpp"
#include "exit_status.hpp"
#include "log_replay.hpp"
#include "note_table.hpp"
#include "options.hpp"
#include "placement.hpp"
#include "service.hpp"

namespace {

using notes::exit_status;
using notes::refusal;

int end(const refusal& why) {
    (void)std::fprintf(stderr, "notes: %s\n", why.text.c_str());
    return static_cast<int>(why.status);
}

notes::placement placement_of(const notes::options& settings) {
    std::vector<std::string> names{settings.node};
    for (const notes::peer& other : settings.peers) { names.push_back(other.name); }
    return notes::placement(std::move(names));
}

// What the log holds, of this node and of others.
struct loaded {
    notes::note_table own;
    notes::note_table of_others;
};

void report(const notes::opened_log& log, const loaded& found, const std::string& node) {
    const std::string path = log.path.string();
    notes::report_torn_tail(log);
    if (found.of_others.size() != 0) {
        heph::log(heph::log_level::warning,
                  path + ": " + std::to_string(found.of_others.size()) +
                      " notes belong to other nodes now; they are kept, and not served");
    }
    heph::log(heph::log_level::info,
              "node " + node + " keeps " + std::to_string(found.own.size()) + " notes in " + path);
}

std::expected<notes::kept_notes, refusal> read_notes(const notes::options& settings) {
    auto directory = notes::data_dir::open(settings.data);
    if (!directory) { return std::unexpected(refusal{exit_status::data, directory.error()}); }
    notes::placement nodes = placement_of(settings);
    loaded found;
    auto log = directory->open_log(settings.node, [&](const notes::record& change) {
        const bool own = nodes.owner(change.id) == settings.node;
        notes::apply(change, own ? found.own : found.of_others);
    });
    if (!log) { return std::unexpected(refusal{exit_status::data, log.error()}); }
    report(*log, found, settings.node);
    if (found.of_others.size() == 0 && notes::is_worth_rewriting(log->found, found.own)) {
        auto rewritten = directory->rewrite_log(settings.node, found.own);
        if (!rewritten) { return std::unexpected(refusal{exit_status::data, rewritten.error()}); }
        log = std::move(rewritten);
    }
    return notes::kept_notes{std::move(*directory), std::move(nodes), std::move(found.own),
                             std::move(*log)};
}

std::expected<void, refusal> run(notes::options settings) {
    std::optional<heph::rt::tls::secret> secret;
    if (!settings.secret_file.empty()) {
        auto read = heph::rt::tls::load_secret(settings.secret_file);
        if (!read) { return std::unexpected(refusal{exit_status::secret, read.error().message()}); }
        secret = std::move(*read);
    }
    std::optional<notes::kept_notes> own;
    if (settings.etcd.empty()) {
        auto read = read_notes(settings);
        if (!read) { return std::unexpected(std::move(read.error())); }
        own.emplace(std::move(*read));
    }
    return notes::run_service(
        notes::service_parts{std::move(settings), std::move(own), std::move(secret)});
}

}  // namespace

int main(int argc, char** argv) {
    try {
        auto settings = notes::parse_options(argc, argv);
        if (!settings) {
            const notes::early_exit& early = settings.error();
            if (early.status == 0) {
                (void)std::fputs(early.text.c_str(), stdout);
                return 0;
            }
            return end(refusal{exit_status::usage, early.text});
        }
        const auto ended = run(std::move(*settings));
        return ended ? 0 : end(ended.error());
    } catch (const std::exception& thrown) {
        return end(refusal{exit_status::failure, thrown.what()});
    }
}
