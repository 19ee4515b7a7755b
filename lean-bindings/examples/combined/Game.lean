import Game.View
