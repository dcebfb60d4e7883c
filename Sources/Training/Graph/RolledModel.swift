import Model

/// A tensor of some subgraph.
struct TensorPlace {
    let subgraph: Int
    let tensor: Int
}

/// A model whose loops and calls were put in line to train it, as it was before: what is exported has them, too.
struct RolledModel {
    let model: Model
    /// For each tensor of the model in training the constant here that it was; nil: it is new.
    let places: [TensorPlace?]

    /// The model with other values for constants, by tensors of the model in training; nil if one of them is not here.
    func replacing(_ parameters: [(tensor: Int, values: [Float])]) throws(Failure) -> Model? {
        var made = model
        for parameter in parameters {
            guard parameter.tensor < places.count, let place = places[parameter.tensor] else { return nil }
            made.buffers.append(Buffer(try Bytes(copying: parameter.values)))
            made.subgraphs[place.subgraph].tensors[place.tensor].buffer = made.buffers.count - 1
        }
        return made
    }
}
