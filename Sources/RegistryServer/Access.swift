import OCISpec

/// What a client may do, once it is known who it is.
struct Access: Sendable {
    /// What is done to a repository. The words are those of the tokens.
    enum Action: String, Sendable, CaseIterable {
        case pull
        case push
        case delete
    }

    /// Who it is, for the log; nil where nobody asked.
    let user: String?
    private let grants: [Grant]?

    /// What a token allows for one resource. See distribution, "Token Authentication".
    struct Grant: Sendable, Equatable {
        let type: String
        let name: String
        let actions: [String]
    }

    /// Everything: there is one kind of user who has a password.
    init(everythingFor user: String?) {
        self.user = user
        grants = nil
    }

    /// What a token says.
    init(_ user: String?, _ grants: [Grant]) {
        self.user = user
        self.grants = grants
    }

    var allowsEverything: Bool { grants == nil }

    func allows(_ action: Action, in repository: RepositoryName) -> Bool {
        guard let grants else { return true }
        return grants.contains { grant in
            grant.type == "repository" && grant.name == repository.description
                && (grant.actions.contains(action.rawValue) || grant.actions.contains("*"))
        }
    }

    var allowsCatalog: Bool {
        guard let grants else { return true }
        return grants.contains {
            $0.type == "registry" && $0.name == "catalog" && $0.actions.contains("*")
        }
    }
}

/// What a request needs.
enum Need {
    /// To be somebody.
    case entry
    case catalog
    case repository(RepositoryName, Access.Action)

    /// How a challenge asks for it.
    var scope: String? {
        switch self {
        case .entry: nil
        case .catalog: "registry:catalog:*"
        // A client that wants to push wants to look first.
        case .repository(let name, .push): "repository:\(name):pull,push"
        case .repository(let name, let action): "repository:\(name):\(action.rawValue)"
        }
    }

    func isMet(by access: Access) -> Bool {
        switch self {
        case .entry: true
        case .catalog: access.allowsCatalog
        case .repository(let name, let action): access.allows(action, in: name)
        }
    }
}
