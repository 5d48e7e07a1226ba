// An API that speaks JSON: bookmarks are added, listed, read and removed.

#include "api.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/json.hpp>

namespace http = heph::http;

namespace bookmarks {

namespace {

struct bookmark {
    std::uint64_t id = 0;
    std::string url;
    std::vector<std::string> tags;
    int stars = 0;
};

void to_json(nlohmann::json& to, const bookmark& from) {
    to = {{"id", from.id}, {"url", from.url}, {"tags", from.tags}, {"stars", from.stars}};
}

// `at` makes a member required, whose lack is answered with 422, and so is a number that is too
// large for its type: `get_integer` looks, where `get_to` would cut it off.
void from_json(const nlohmann::json& from, bookmark& to) {
    from.at("url").get_to(to.url);
    if (from.contains("tags")) { from.at("tags").get_to(to.tags); }
    to.stars = http::get_integer<int>(from, "stars", 0);
}

/// Keeps the bookmarks. Handlers are called by all workers at the same time; none waits within.
class collection {
public:
    bookmark add(bookmark added) {
        const std::scoped_lock lock(mutex_);
        added.id = ++last_id_;
        kept_.emplace(added.id, added);
        return added;
    }
    std::optional<bookmark> find(std::uint64_t id) {
        const std::scoped_lock lock(mutex_);
        const auto found = kept_.find(id);
        return found == kept_.end() ? std::nullopt : std::optional<bookmark>(found->second);
    }
    std::vector<bookmark> all() {
        const std::scoped_lock lock(mutex_);
        std::vector<bookmark> found;
        for (const auto& [id, each] : kept_) { found.push_back(each); }
        return found;
    }
    bool remove(std::uint64_t id) {
        const std::scoped_lock lock(mutex_);
        return kept_.erase(id) != 0;
    }

private:
    std::mutex mutex_;
    std::map<std::uint64_t, bookmark> kept_;
    std::uint64_t last_id_ = 0;
};

heph::task<http::response> add(std::shared_ptr<collection> kept, http::request& request) {
    auto sent = co_await http::read_json<bookmark>(request);
    if (!sent) { co_return sent.error().answer(); }
    if (!sent->url.starts_with("https://") && !sent->url.starts_with("http://")) {
        co_return http::response::problem(http::status::unprocessable_content,
                                          "The url is neither http nor https.");
    }
    const bookmark added = kept->add(std::move(*sent));
    http::response answer = http::json_response(added, http::status::created);
    answer.set_header("Location", "/bookmarks/" + std::to_string(added.id));
    co_return answer;
}

http::response show(collection& kept, const http::request& request) {
    const auto found = kept.find(request.param_as<std::uint64_t>("id").value_or(0));
    if (!found) { return http::response::problem(http::status::not_found); }
    return http::json_response(*found);
}

http::response remove(collection& kept, const http::request& request) {
    const bool removed = kept.remove(request.param_as<std::uint64_t>("id").value_or(0));
    if (!removed) { return http::response::problem(http::status::not_found); }
    return http::response::empty();
}

}  // namespace

http::router make_routes() {
    const auto kept = std::make_shared<collection>();
    http::router routes;
    routes.get<"/bookmarks">([kept](http::request&) { return http::json_response(kept->all()); });
    routes.post<"/bookmarks">([kept](http::request& request) { return add(kept, request); });
    routes.get<"/bookmarks/{id:uint}">(
        [kept](http::request& request) { return show(*kept, request); });
    routes.delete_<"/bookmarks/{id:uint}">(
        [kept](http::request& request) { return remove(*kept, request); });
    return routes;
}

}  // namespace bookmarks
