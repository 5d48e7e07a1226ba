#include "links.hpp"

#include <utility>

namespace notes {

template <typename Call>
heph::task<std::expected<typename Call::response_type, std::string>> links::ask(
    std::string node, typename Call::request_type /*asked*/) {
    co_return std::unexpected("node '" + node + "' cannot be reached");
}

template heph::task<std::expected<get_reply, std::string>> links::ask<get_call>(std::string,
                                                                                get_note);
template heph::task<std::expected<change_reply, std::string>> links::ask<put_call>(std::string,
                                                                                   put_note);
template heph::task<std::expected<change_reply, std::string>> links::ask<remove_call>(std::string,
                                                                                      remove_note);
template heph::task<std::expected<list_reply, std::string>> links::ask<list_call>(std::string,
                                                                                  list_ids);

}  // namespace notes
